// Videos: one is played, or two as one; how much of each was seen is known, and what cannot be loaded is told in its place.

const SEEN = 0.95; // of a video's length; the rest is the rounding of its ends
const BEND_S = 0.02, JUMP_S = 0.3; // two apart: up to half a frame is left, then the muted one's speed is bent, then it jumps
const FAULT = "This video could not be loaded.";

export function load(stage, source) {
  const video = stage.querySelector("video"), fault = stage.querySelector(".fault");
  video.src = source;
  video.onerror = () => {
    if (!video.getAttribute("src")) return; // the view is gone
    fault.querySelector("p").textContent = FAULT;
    fault.hidden = false;
  };
  video.onloadeddata = () => { fault.hidden = true; };
  fault.querySelector("button").onclick = () => { fault.hidden = true; video.load(); };
  return video;
}

/** How much of a video was played, however often and in whichever order. */
function share(video) {
  let played_s = 0;
  for (let i = 0; i < video.played.length; i++) played_s += video.played.end(i) - video.played.start(i);
  return played_s / (video.duration || Infinity);
}

/** A radio button within its label. */
export function choice(group, value, words, isChosen, chosen) {
  const label = document.createElement("label");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: group, value, checked: isChosen });
  const shown = document.createElement("span");
  shown.append(words);
  radio.addEventListener("change", () => chosen(value));
  label.append(radio, shown);
  return label;
}

/** Play one video, or two as one; resolves when all of each was seen. No controls lie over a face that is judged. */
export function inStep(view, videos, sideName) {
  const [play, slider] = [view.querySelector(".play"), view.querySelector(".deck input")];
  const longest = () => videos.reduce((one, other) => ((other.duration || 0) > (one.duration || 0) ? other : one));
  const isOver = () => videos.every((video) => video.ended);
  const label = () => {
    const words = wanted ? "Pause" : isOver() ? "Play again" : "Play";
    if (play.textContent !== words) play.textContent = words;
  };
  let wanted = false; // playing, as far as the person is concerned
  let heard = videos[0]; // the other one follows it

  const start = () => {
    if (!heard.isConnected) return;
    if (isOver()) for (const video of videos) video.currentTime = 0;
    wanted = true;
    label();
    const begun = videos.filter((video) => !video.ended).map((video) => video.play());
    Promise.all(begun).catch((error) => { if (error.name !== "AbortError") stop(); }); // aborted: by a pause or another load
  };
  const stop = () => { // also where a browser wants a click first
    wanted = false;
    for (const video of videos) video.pause();
    label();
  };
  play.onclick = () => (wanted ? stop() : start());
  slider.oninput = () => {
    const at = slider.value * (longest().duration || 0);
    for (const video of videos) video.currentTime = Math.min(at, video.duration || 0);
    tell();
  };
  function tell() {
    const { currentTime, duration } = longest();
    slider.setAttribute("aria-valuetext", `${currentTime.toFixed(1)} of ${(duration || 0).toFixed(1)} seconds`);
    label();
  }
  function follow() {
    heard.playbackRate = 1;
    for (const video of videos) {
      if (video === heard) continue;
      const canMove = wanted && videos.every((one) => one.readyState >= 3 && !one.ended && !one.seeking);
      const ahead = canMove ? video.currentTime - heard.currentTime : 0;
      if (Math.abs(ahead) > JUMP_S) video.currentTime = heard.currentTime;
      video.playbackRate = Math.abs(ahead) > BEND_S ? Math.min(Math.max(1 - 2 * ahead, 0.8), 1.25) : 1;
    }
  }

  for (const video of videos) {
    video.onclick = play.onclick;
    video.addEventListener("error", stop);
    video.addEventListener("ended", () => { if (isOver()) wanted = false; label(); });
  }
  if (videos.length > 1) {
    const listen = (side) => {
      heard = videos[side];
      for (const video of videos) video.muted = video !== heard;
    };
    const sounds = view.querySelector(".switch");
    ["left", "right"].forEach((side, i) => sounds.append(choice("sound", side, sideName(side), i === 0, () => listen(i))));
    listen(0);
  }
  // both begin together once both can; some phones load nothing before they are told to play
  const ready = (video) => video.readyState >= 3 || new Promise((go) => video.addEventListener("canplay", go, { once: true }));
  Promise.race([Promise.all(videos.map(ready)), new Promise((late) => setTimeout(late, 1500))]).then(() => wanted || start());

  return new Promise((seen) => {
    const whole = new Set(); // loading again empties what a video tells of itself
    const clock = setInterval(() => {
      if (!heard.isConnected) return clearInterval(clock);
      if (!slider.matches(":active")) slider.value = longest().currentTime / (longest().duration || 1);
      follow();
      tell();
      for (const video of videos) if (share(video) >= SEEN) whole.add(video);
      if (whole.size === videos.length) seen();
    }, 100);
  });
}
