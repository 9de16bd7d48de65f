// What the server says in words, as elements; nothing is ever parsed as HTML.

const element = (tag, text, className) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};

export function words(problem, end, title) {
  const sections = problem.words.map((section) => {
    const block = element("div", undefined, "word " + section.kind);
    block.append(element("h3", section.title), ...section.lines.map((line) => element("p", line)));
    return block;
  });
  if (end) {
    const block = element("div", undefined, "word " + (end.stopped.reason === "diverged" ? "bad" : "plain"));
    block.append(element("h3", "How the run ended"));
    const foretold = end.predicted_steps === null ? "" : `, ${end.predicted_steps.toLocaleString("en")} foretold`;
    const more = end.notices.filter((notice) => notice.message.startsWith(end.stopped.message));
    block.append(element("p", `After ${end.steps.toLocaleString("en")} steps${foretold}: ${end.stopped.message}.`));
    for (const notice of more) block.append(element("p", notice.message.slice(end.stopped.message.length).replace(/^[.\s]+/, "")));
    sections.splice(problem.plan.learning_rate_limit !== null && end.stopped.reason === "diverged" ? 3 : sections.length, 0, block);
  }
  for (const notice of [...problem.notices, ...(end?.notices ?? [])]) {
    if (end && notice.message.startsWith(end.stopped.message)) continue; // said above
    const block = element("div", undefined, "word");
    block.append(element("p", notice.message));
    sections.push(block);
  }
  if (title) sections.unshift(element("p", title, "muted"));
  return sections;
}

export function worked(found) {
  const table = element("table");
  const head = element("tr");
  head.append(...[found.inside, "y", "f", "r = f − y", `r·${found.inside}`].map((text) => Object.assign(element("th", text), { scope: "col" })));
  const rows = found.rows.map((row) => {
    const line = element("tr");
    line.append(...[row.x, row.y, row.f, row.residual, row.product].map((text) => element("td", text)));
    return line;
  });
  table.append(element("thead"), element("tbody"));
  table.tHead.append(head);
  table.tBodies[0].append(...rows);
  table.setAttribute("aria-label", "Some training rows and their residuals");
  const scroll = element("div", undefined, "scroll");
  scroll.append(table);
  const which = found.inside === "z" ? `z is ${found.feature}, centred and scaled. ` : `x is ${found.feature}. `;
  return [
    element("p", `Step ${found.step.toLocaleString("en")}, some training rows. ${which}The means below are over all training rows.`, "muted"),
    scroll,
    ...found.lines.map((line) => element("p", line, "numbers")),
  ];
}
