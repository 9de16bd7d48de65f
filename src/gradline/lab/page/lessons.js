// The seven lessons. Their words, settings and answers are the server's.

import { firstRun } from "./state.js";
import { ask } from "./server.js";

const by = (id) => document.getElementById(id);

export class Lessons {
  // apply: is given a lesson's or a try's settings.  question: what is asked for the settings on the screen.
  constructor(lessons, state, begin, apply, question) {
    Object.assign(this, { lessons, state, begin, apply, question, shown: null });
    by("question").addEventListener("submit", (event) => {
      event.preventDefault();
      this.check();
    });
    by("lesson-next").addEventListener("click", () => {
      const next = this.lessons[this.lessons.findIndex((each) => each.id === this.state.lesson) + 1];
      this.open(next?.id ?? null);
      by(next ? "lesson-title" : "lesson-tabs").focus();
    });
  }

  open(id) {
    const lesson = this.lessons.find((each) => each.id === id);
    this.state.lesson = lesson ? lesson.id : null;
    if (lesson) this.apply(this.settings(lesson.table, lesson.run), lesson.look);
    this.show();
  }

  settings(table, run) {
    return { table: { ...this.begin.table, ...table }, run: { ...firstRun(), ...run } };
  }

  show() {
    const { lessons, state } = this;
    by("lesson-tabs").replaceChildren(...lessons.map((each, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${i + 1} ${each.title}`;
      button.setAttribute("aria-current", String(each.id === state.lesson));
      button.addEventListener("click", () => this.open(each.id === state.lesson ? null : each.id));
      return button;
    }));
    const lesson = lessons.find((each) => each.id === state.lesson);
    by("lesson").hidden = !lesson;
    by("lesson-hint").hidden = Boolean(lesson);
    if (!lesson || this.shown === lesson.id) return;
    this.shown = lesson.id;
    by("lesson-title").textContent = lesson.title;
    by("lesson-text").replaceChildren(...lesson.text.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
    by("lesson-tries").replaceChildren(...lesson.tries.map((each) => this.item(lesson, each)));
    by("question-text").textContent = lesson.question.text;
    by("question-result").value = "";
    by("question-result").className = "";
    by("question-answer").replaceChildren(...this.inputs(lesson));
    by("lesson-next").textContent = lesson === lessons.at(-1) ? "End of the lessons" : "Next lesson";
  }

  item(lesson, each) {
    const item = document.createElement("li");
    if (!Object.keys(each.table).length && !Object.keys(each.run).length) {
      item.textContent = each.text;
      return item;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = each.text;
    button.addEventListener("click", () => this.apply(this.settings({ ...lesson.table, ...each.table }, { ...lesson.run, ...each.run }), lesson.look));
    item.append(button);
    return item;
  }

  inputs(lesson) {
    const options = Object.entries(lesson.question.options);
    if (!options.length) {
      const input = document.createElement("input");
      Object.assign(input, { type: "text", name: "answer", inputMode: "decimal", autocomplete: "off" });
      input.setAttribute("aria-label", "Your answer, a number");
      return [input];
    }
    return options.map(([key, text]) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "answer", value: key });
      label.append(input, " " + text);
      return label;
    });
  }

  async check() {
    const answer = new FormData(by("question")).get("answer");
    const result = by("question-result");
    try {
      const found = await ask("check", { ...this.question(), lesson: this.state.lesson, answer });
      result.value = found.message;
      result.className = found.right ? "right" : "wrong";
    } catch (error) {
      result.value = error.message;
      result.className = "wrong";
    }
  }
}
