// The whole page: which view is shown, what it asks, and that every answer is saved before the next step.

const KEPT = "study-who"; // stands for the participant in this browser; it names nobody
const DRIFT_S = 0.06; // two videos further apart than this are brought together again: a frame and a half
const TITLES = { rating: "Rate each video", vote: "Choose the better one" };

const main = document.querySelector("#main");
const trouble = document.querySelector("#trouble");
let sheet = null; // what the server told: questions, places, answers
let steps = []; // every place in order, as {task, place}
let sending = Promise.resolve();

// ---- talking to the server

class Answered extends Error {} // the server's own words about what was wrong

async function post(path, body) {
  const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const said = await reply.json();
  if (reply.ok) return said;
  throw Object.assign(new Answered(said.error), { status: reply.status });
}

/** Do `work` until it succeeds; after each failure the person is told and asked to try again. */
async function insist(work, problem) {
  for (;;) {
    try {
      const done = await work();
      trouble.hidden = true;
      return done;
    } catch (error) {
      const why = error instanceof Answered ? error.message : "The study does not answer. Is the network there?";
      trouble.querySelector("p").textContent = `${problem} ${why} What was saved is safe.`;
      trouble.hidden = false;
      await new Promise((again) => { trouble.querySelector("button").onclick = again; });
    }
  }
}

// ---- where somebody is

function take(told) {
  sheet = told;
  remember(sheet.who);
  steps = ["rating", "vote"].flatMap((task) => sheet.places[task].map((_, place) => ({ task, place })));
}

function forget() {
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
  const { who } = sheet;
  sending = sending.then(async () => {
    await insist(() => post("/answer", { who, ...step, question, value }), "This is not saved yet.");
    answersAt(step)[question] = value;
    progress();
  });
  return sending;
}

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
    document.querySelector("#me").textContent = sheet.code;
    progress();
  }
  for (const code of view.querySelectorAll(".code")) code.textContent = sheet.code;
  scrollTo(0, 0);
  view.querySelector("h1").focus({ preventScroll: true });
  return view;
}

function welcome() {
  const view = show("welcome");
  const field = view.querySelector("#code");
  const begin = (path, code) => async () => {
    const problem = view.querySelector("#problem");
    problem.textContent = "";
    try {
      take(await post(path, { code }));
    } catch (error) {
      problem.textContent = error instanceof Answered ? error.message : "The study does not answer. Is the network there?";
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    path === "/begin" ? enter(0) : back();
  };
  view.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    begin("/begin", field.value.trim() || null)();
  };
  view.querySelector("#return").onclick = () => {
    if (field.value.trim()) return begin("/continue", field.value)();
    view.querySelector("#problem").textContent = "Write the code word with which you began.";
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

function intro(at) {
  const { task } = steps[at];
  const count = sheet.places[task].length;
  const view = show("intro", TITLES[task]);
  const [title, lead, more] = {
    rating: [
      `First: rate ${count} videos`,
      "Watch each video to its end, then answer three questions about it from 1 to 5. Use the whole range.",
      `Your code word is ${sheet.code}. Write it down if you may want to go on in another browser.`,
    ],
    vote: [
      `Now: choose ${count === 1 ? "once" : `${count} times`}`,
      "Two videos play side by side and say the same. Choose the one you would rather take for a real recording; when you " +
        "cannot tell, choose the one you like a little more.",
      "You hear one of the two; which one can be switched.",
    ],
  }[task];
  view.querySelector("h1").textContent = title;
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
  isFirst ? intro(at) : go(at);
}

function go(at) {
  const step = steps[at];
  const counted = `${TITLES[step.task]}: ${step.place + 1} of ${sheet.places[step.task].length}`;
  const view = show(step.task, counted);
  view.querySelector("h1").textContent = counted;
  const labels = { rating: ["The video"], vote: ["Left video", "Right video"] }[step.task];
  const videos = [...view.querySelectorAll("video")];
  videos.forEach((video, i) => load(video, sheet.places[step.task][step.place].videos[i], labels[i]));
  const seen = inStep(view, videos);
  (step.task === "rating" ? askScales : askBetter)(view, step);

  const next = view.querySelector("form .main");
  const hint = view.querySelector("form .hint");
  const refresh = () => {
    next.disabled = !isDone(step);
    hint.textContent = next.disabled ? "What do you think?" : "Saved. You may still change it.";
  };
  const open = (isOpen) => { for (const set of view.querySelectorAll("form fieldset")) set.disabled = !isOpen; };
  view.addEventListener("saved", refresh);
  refresh();
  if (!isDone(step)) {
    const answered = Object.keys(answersAt(step)).length > 0; // somebody who came back has seen it
    open(answered);
    if (!answered) {
      hint.textContent = step.task === "rating" ? "Watch the video to its end first." : "Watch both videos to their end first.";
      seen.then(() => { open(true); refresh(); });
    }
  }
  view.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    if (next.disabled) return;
    if (at + 1 === steps.length) return firstOpen() < 0 ? end() : enter(firstOpen());
    enter(at + 1);
  };
  view.querySelector(".back").disabled = at === 0;
  view.querySelector(".back").onclick = () => go(at - 1);
}

function load(video, source, label) {
  video.src = source;
  video.setAttribute("aria-label", label);
  video.onerror = () => {
    if (!video.getAttribute("src")) return; // the view is gone
    trouble.querySelector("p").textContent = "A video could not be loaded.";
    trouble.hidden = false;
    trouble.querySelector("button").onclick = () => { trouble.hidden = true; video.load(); };
  };
}

/** Play one video, or two as one; resolves when all was seen to its end. No controls lie over a face that is judged. */
function inStep(view, videos) {
  const [first, second] = [videos[0], videos.at(-1)];
  const [play, slider] = [view.querySelector(".play"), view.querySelector(".deck input")];
  const longest = () => videos.reduce((one, other) => ((other.duration || 0) > (one.duration || 0) ? other : one));
  const isOver = () => videos.every((video) => video.ended);
  let wanted = false; // playing, as far as the person is concerned

  const ready = (video) => video.readyState >= 3 || new Promise((go) => video.addEventListener("canplay", go, { once: true }));
  const start = () => {
    if (!first.isConnected) return;
    if (isOver()) for (const video of videos) video.currentTime = 0;
    wanted = true;
    label();
    Promise.all(videos.filter((video) => !video.ended).map((video) => video.play())).catch(stop);
  };
  const stop = () => { // also where a browser wants a click first
    wanted = false;
    for (const video of videos) video.pause();
    label();
  };
  const label = () => { play.textContent = wanted ? "Pause" : isOver() ? "Play again" : "Play"; };
  play.onclick = () => (wanted ? stop() : start());
  slider.oninput = () => {
    const at = slider.value * (longest().duration || 0);
    for (const video of videos) video.currentTime = Math.min(at, video.duration || 0);
    label();
  };
  for (const video of videos) {
    video.onclick = play.onclick;
    video.addEventListener("error", stop);
  }

  const follow = setInterval(() => {
    if (!first.isConnected) return clearInterval(follow);
    if (!slider.matches(":active")) slider.value = longest().currentTime / (longest().duration || 1);
    const apart = Math.abs(first.currentTime - second.currentTime);
    const canMove = videos.every((video) => video.readyState >= 3 && !video.ended && !video.seeking);
    if (wanted && canMove && apart > DRIFT_S) second.currentTime = first.currentTime;
  }, 100);

  if (videos.length > 1) {
    const listen = (side) => videos.forEach((video, i) => { video.muted = i !== side; });
    const sounds = view.querySelector(".switch");
    ["left", "right"].forEach((side, i) => sounds.append(choice("sound", side, side, i === 0, () => listen(i))));
    listen(0);
  }
  // both begin together once both can; some phones load nothing before they are told to play
  Promise.race([Promise.all(videos.map(ready)), new Promise((late) => setTimeout(late, 1500))]).then(() => wanted || start());
  return new Promise((seen) => {
    const check = () => { if (isOver()) { wanted = false; label(); seen(); } };
    for (const video of videos) video.addEventListener("ended", check);
  });
}

/** A radio button within its label. */
function choice(group, value, text, isChosen, chosen) {
  const label = document.createElement("label");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: group, value, checked: isChosen });
  const shown = Object.assign(document.createElement("span"), { textContent: text });
  radio.addEventListener("change", () => chosen(value));
  label.append(radio, shown);
  return label;
}

function askScales(view, step) {
  const form = view.querySelector(".scales");
  for (const scale of sheet.scales) {
    const set = document.querySelector("template#scale").content.cloneNode(true).firstElementChild;
    set.querySelector("legend").textContent = scale.question;
    const [low, high] = set.querySelectorAll(".ends span");
    [low.textContent, high.textContent] = [scale.low, scale.high];
    for (let value = 1; value <= 5; value++) {
      const made = choice(scale.key, String(value), value, answersAt(step)[scale.key] === String(value), answer(scale.key));
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

  function answer(question) {
    return async (value) => { await save(step, question, value); view.dispatchEvent(new Event("saved")); };
  }
}

function askBetter(view, step) {
  const points = view.querySelector("form .points");
  for (const side of ["left", "right"]) {
    const text = { left: "The left one", right: "The right one" }[side];
    points.append(choice("better", side, text, answersAt(step).better === side, async (value) => {
      await save(step, "better", value);
      view.dispatchEvent(new Event("saved"));
    }));
  }
}

// ---- begin

async function begin() {
  const who = remembered();
  if (!who) return welcome();
  const told = await insist(async () => {
    try {
      return await post("/sheet", { who });
    } catch (error) {
      if (error.status === 400) return null; // another study on this address, or one that was begun anew
      throw error;
    }
  }, "Your place could not be found.");
  if (!told) return forget();
  take(told);
  back();
}

begin();
