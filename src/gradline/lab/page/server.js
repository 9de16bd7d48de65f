// Questions to the lab's server, and runs that it streams. All addresses are relative: they keep the token.

export class Refused extends Error {
  constructor(message, hint) {
    super(hint ? `${message} Hint: ${hint}` : message);
  }
}

const headers = { "Content-Type": "application/json" };

async function answer(response) {
  const document = await response.json();
  if (!response.ok) throw new Refused(document.error, document.hint);
  return document;
}

export const table = async () => answer(await fetch("api/table"));

export async function ask(name, question, signal) {
  return answer(await fetch("api/" + name, { method: "POST", headers, signal, body: JSON.stringify(question) }));
}

// Each line of a run as it comes. To abort the signal ends the run on the server too: its connection breaks.
export async function stream(question, signal, each) {
  const response = await fetch("api/run", { method: "POST", headers, signal, body: JSON.stringify(question) });
  if (!response.ok) await answer(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) each(JSON.parse(line));
  }
}
