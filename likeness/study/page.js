// The whole page: which view is shown, what it asks, and that every answer is saved before the next step.

import { choice, inStep, load } from "./page.videos.js";

const KEPT = "study-who"; // stands for the participant in this browser; it names nobody
const SILENT = "The study does not answer. Is the network there?";

const main = document.querySelector("#main");
const trouble = document.querySelector("#trouble");
let sheet = null; // what the server told: questions, places, answers
let steps = []; // every place in order, as {task, place}
let sending = Promise.resolve();
let pending = 0; // answers that are not on disk yet

// ---- talking to the server

class Answered extends Error {} // the server's own words about what was wrong

async function post(path, body) {
  const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const said = await reply.json();
  if (reply.ok) return said;
  throw Object.assign(new Answered(said.error), { isFinal: reply.status === 400 }); // it would be refused again
}

/** Do `work` until it succeeds; after each failure the person is told and asked to try again. A refusal is thrown. */
async function insist(work, problem) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error.isFinal) throw error;
      await tell(`${problem} ${error instanceof Answered ? error.message : SILENT} What was saved is safe.`, "Try again");
    }
  }
}

/** Say what is wrong, until the person has pressed the button. */
async function tell(words, offer) {
  const button = trouble.querySelector("button");
  trouble.querySelector("p").textContent = words;
  button.textContent = offer;
  trouble.hidden = false;
  await new Promise((pressed) => { button.onclick = pressed; });
  trouble.hidden = true;
}

// ---- where somebody is

function take(told) {
  sheet = told;
  remember(sheet.who);
  steps = ["rating", "vote"].flatMap((task) => sheet.places[task].map((_, place) => ({ task, place })));
}

async function forget() {
  await sending;
  leave();
}

function leave() {
  remember(null);
  sheet = null;
  steps = [];
  welcome();
}

/** Keep who this is in the browser; where that is forbidden, the code word still leads back. */
function remember(who) {
  try {
    who ? localStorage.setItem(KEPT, who) : localStorage.removeItem(KEPT);
  } catch {}
}

function remembered() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

const answersAt = ({ task, place }) => sheet.places[task][place].answers;
const isDone = (step) => sheet.questions[step.task].every((question) => question in answersAt(step));
const firstOpen = () => steps.findIndex((step) => !isDone(step));

/** Answers are sent one after the other, so that the last one that was chosen is the last one that is written. */
function save(step, question, value) {
  const mine = sheet, answers = answersAt(step); // whoever sits here when it has been written
  pending++;
  changed();
  sending = sending.then(async () => {
    if (mine !== sheet) return; // the study does not know them any more
    await insist(() => post("/answer", { who: mine.who, ...step, question, value }), "This is not saved yet.");
    answers[question] = value;
  }).catch(async (error) => {
    await tell(`This cannot be saved. ${error.message}`, "To the first page");
    leave();
  }).finally(() => {
    pending--;
    changed();
  });
}

function changed() {
  if (sheet) progress();
  main.firstElementChild.dispatchEvent(new Event("changed"));
}

addEventListener("beforeunload", (event) => { if (pending) event.preventDefault(); });

function progress() {
  const done = steps.filter(isDone).length;
  const bar = document.querySelector("#bar");
  bar.max = steps.length;
  bar.value = done;
  bar.textContent = `${done} of ${steps.length}`;
}

// ---- views

function show(name, title = null) {
  const view = document.querySelector(`template#${name}`).content.cloneNode(true).firstElementChild;
  for (const video of main.querySelectorAll("video")) { video.pause(); video.removeAttribute("src"); video.load(); }
  main.replaceChildren(view);
  document.querySelector("#top").hidden = sheet === null;
  if (sheet) {
    document.querySelector("#task").textContent = title ?? "";
    document.querySelector("#me b").textContent = sheet.code;
    progress();
  }
  for (const code of view.querySelectorAll(".code")) code.textContent = sheet.code;
  scrollTo(0, 0);
  view.querySelector("h1").focus({ preventScroll: true });
  return view;
}

function welcome() {
  const view = show("welcome");
  const field = view.querySelector("#code"), problem = view.querySelector("#problem");
  // by it the study knows who asks again because no reply came; without HTTPS there is no randomUUID
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  async function begin(path, code) {
    view.inert = true; // a second click makes nobody else
    problem.textContent = "";
    try {
      take(await post(path, { code, key }));
    } catch (error) {
      view.inert = false;
      problem.textContent = error instanceof Answered ? error.message : SILENT;
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    path === "/begin" ? enter(0) : back();
  }
  view.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    begin("/begin", field.value.trim() || null);
  };
  view.querySelector("#return").onclick = () => {
    if (field.value.trim()) return begin("/continue", field.value);
    problem.textContent = "Write the code word with which you began.";
    field.focus();
  };
}

function back() {
  const view = show("back", "Welcome back");
  const left = steps.filter((step) => !isDone(step)).length;
  view.querySelector(".left").textContent =
    left === 0 ? "You have answered everything." : left === 1 ? "There is one more to answer." : `There are ${left} more to answer.`;
  view.querySelector(".main").onclick = () => (left ? enter(firstOpen()) : end());
  view.querySelector(".other").onclick = forget;
}

/** Before the first video: whether sound comes out at all. */
function hear(at) {
  const view = show("hear", "Before the first video");
  const heard = view.querySelector(".heard");
  view.querySelector(".sound").onclick = () => {
    ring();
    heard.disabled = false;
  };
  heard.onclick = () => intro(at);
}

function ring() {
  const air = new AudioContext(), loudness = air.createGain();
  loudness.connect(air.destination);
  [523, 659, 784].forEach((pitch, i) => {
    const bell = new OscillatorNode(air, { frequency: pitch });
    bell.connect(loudness);
    bell.start(air.currentTime + i * 0.3);
    bell.stop(air.currentTime + i * 0.3 + 0.28);
    if (i === 2) bell.onended = () => air.close();
  });
  loudness.gain.value = 0.2;
}

function intro(at) {
  const { task } = steps[at];
  const count = sheet.places[task].length;
  const view = show("intro", title(steps[at]));
  const [heading, lead, more] = {
    rating: [
      `First: rate ${count} videos`,
      "Watch all of each video, then answer three questions about it from 1 to 5. Use the whole range.",
      `Your code word is ${sheet.code}. Write it down if you may want to go on in another browser.`,
    ],
    vote: [
      `Now: choose ${count === 1 ? "once" : `${count} times`}`,
      `Two videos play together and say the same. ${sheet.criterion} When you cannot tell, choose the one that does a little more.`,
      "You hear one of the two; which one can be switched.",
    ],
  }[task];
  view.querySelector("h1").textContent = heading;
  view.querySelector(".lead").textContent = lead;
  view.querySelector(".more").textContent = more;
  view.querySelector(".main").onclick = () => go(at);
}

function end() {
  const view = show("end", "Finished");
  view.querySelector(".back").onclick = () => go(steps.length - 1);
  view.querySelector(".other").onclick = forget;
}

/** Go to a place; before the first one of a task it is said what comes. */
function enter(at) {
  const isFirst = steps[at].place === 0 && Object.keys(answersAt(steps[at])).length === 0;
  isFirst ? (at === 0 ? hear(at) : intro(at)) : go(at);
}

const title = ({ task }) => ({ rating: "Rate each video", vote: sheet.criterion })[task];

function go(at) {
  const step = steps[at];
  const counted = `${step.place + 1} of ${sheet.places[step.task].length}: ${title(step)}`;
  const view = show(step.task, counted);
  view.querySelector("h1").textContent = counted;
  const videos = [...view.querySelectorAll(".stage")].map((stage, i) => load(stage, sheet.places[step.task][step.place].videos[i]));
  let isSeen = Object.keys(answersAt(step)).length > 0; // somebody who came back has seen it
  inStep(view, videos, sideName).then(() => { isSeen = true; refresh(); });
  (step.task === "rating" ? askScales : askBetter)(view, step);

  const next = view.querySelector("form .main"), former = view.querySelector(".back");
  const hint = view.querySelector("form .hint");
  function refresh() {
    if (!view.isConnected || !sheet) return;
    for (const set of view.querySelectorAll("form fieldset")) set.disabled = !isSeen;
    next.disabled = pending > 0 || !isDone(step);
    former.disabled = pending > 0 || at === 0;
    const words = !isSeen ? unseen[step.task] : pending ? "Saving…" : isDone(step) ? "Saved. You may still change it." : missing(step);
    if (hint.textContent !== words) hint.textContent = words; // what is said again is read out again
  }
  view.addEventListener("changed", refresh);
  refresh();
  view.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    if (next.disabled) return;
    if (at + 1 === steps.length) return firstOpen() < 0 ? end() : enter(firstOpen());
    enter(at + 1);
  };
  former.onclick = () => go(at - 1);
}

const unseen = { rating: "Watch all of the video first.", vote: "Watch all of both videos first." };

function missing(step) {
  if (step.task === "vote") return "Choose one of the two.";
  const open = sheet.scales.filter((scale) => !(scale.key in answersAt(step))).map((scale) => scale.title.toLowerCase());
  return `Still to answer: ${open.join(", ")}.`;
}

/** What a side is called where both lie side by side and, on a phone, one above the other; the style shows one of them. */
function sideName(side, wide = side, tall = { left: "upper", right: "lower" }[side]) {
  const both = document.createDocumentFragment();
  for (const [name, text] of Object.entries({ wide, tall })) {
    both.append(Object.assign(document.createElement("span"), { className: name, textContent: text }));
  }
  return both;
}

function askScales(view, step) {
  const form = view.querySelector(".scales");
  for (const scale of sheet.scales) {
    const set = document.querySelector("template#scale").content.cloneNode(true).firstElementChild;
    set.querySelector("legend").textContent = scale.question;
    const [low, high] = set.querySelectorAll(".ends span");
    [low.textContent, high.textContent] = [scale.low, scale.high];
    for (let value = 1; value <= 5; value++) {
      const isChosen = answersAt(step)[scale.key] === String(value);
      const made = choice(scale.key, String(value), String(value), isChosen, (said) => save(step, scale.key, said));
      const meaning = { 1: scale.low, 5: scale.high }[value];
      if (meaning) made.querySelector("input").setAttribute("aria-label", `${value}, ${meaning}`);
      set.querySelector(".points").append(made);
    }
    set.addEventListener("keydown", (event) => {
      if (!/^[1-5]$/.test(event.key)) return;
      const radio = set.querySelector(`[value="${event.key}"]`);
      radio.focus();
      radio.click();
    });
    form.append(set);
  }
}

function askBetter(view, step) {
  const points = view.querySelector("form .points");
  view.querySelector("legend").textContent = sheet.criterion;
  for (const [side, wide, tall] of [["left", "The left one", "The upper one"], ["right", "The right one", "The lower one"]]) {
    const isChosen = answersAt(step).better === side;
    points.append(choice("better", side, sideName(side, wide, tall), isChosen, (said) => save(step, "better", said)));
  }
}

// ---- begin

async function begin() {
  const who = remembered();
  if (!who) return welcome();
  try {
    take(await insist(() => post("/sheet", { who }), "Your place could not be found."));
  } catch {
    return leave(); // another study on this address, or one that was begun anew
  }
  back();
}

begin();
