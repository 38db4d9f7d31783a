// Players: every tile of a player follows the first one, which is heard. Charts of the same sound show where it is.
"use strict";
const DRIFT_S = 0.08; // two pictures: beyond it a tile jumps, below it its speed is bent until it is there again
const players = [];

function player(section) {
  const one = (name) => section.querySelector(name);
  const videos = [...section.querySelectorAll("video")];
  const lead = videos[0];
  const fps = Number(section.dataset.fps), frames = Number(section.dataset.frames);
  const charts = [...document.querySelectorAll(`[data-follows="${section.dataset.sound}"] svg.chart`)];
  let rate = 1, wanted = false;

  // Half a frame in, so that rounding shows this frame and not the one before.
  const timeOf = (frame) => (Math.min(Math.max(frame, 0), frames - 1) + 0.5) / fps;
  const frameNow = () => Math.min(Math.floor(lead.currentTime * fps + 1e-3), frames - 1);

  function tell() {
    const frame = frameNow();
    one(".seek").value = frame;
    one(".time").textContent = `${(frame / fps).toFixed(2)} s, ${frame + 1}/${frames}`;
    for (const chart of charts) {
      const left = Number(chart.dataset.left), right = Number(chart.dataset.right);
      const x = (left + (right - left) * (frame + 0.5) / frames) * chart.viewBox.baseVal.width;
      const head = chart.querySelector(".playhead");
      head.setAttribute("x1", x);
      head.setAttribute("x2", x);
    }
  }
  function follow() {
    if (!wanted) return;
    for (const video of videos.slice(1)) {
      const ahead = video.currentTime - lead.currentTime;
      if (Math.abs(ahead) > DRIFT_S && !video.seeking) video.currentTime = lead.currentTime;
      video.playbackRate = rate * (Math.abs(ahead) > 0.01 ? Math.min(Math.max(1 - 2 * ahead, 0.8), 1.25) : 1);
      if (video.paused && !video.ended) video.play().catch(() => {});
    }
    tell();
    requestAnimationFrame(follow);
  }
  async function play() {
    for (const other of players) if (other !== self) other.pause();
    if (frameNow() >= frames - 1) await seek(0);
    wanted = true;
    one(".play").textContent = "Pause";
    lead.playbackRate = rate;
    try {
      await Promise.all(videos.map((video) => video.play()));
    } catch (error) {
      if (error.name !== "AbortError") { pause(); one(".time").textContent = `cannot be played: ${error.message}`; }
      return;
    }
    follow();
  }
  function pause() {
    wanted = false;
    one(".play").textContent = "Play";
    for (const video of videos) video.pause();
  }
  function seek(frame) {
    const time = timeOf(frame);
    const there = videos.map((video) => new Promise((done) => {
      if (Math.abs(video.currentTime - time) < 1e-4) return done();
      video.addEventListener("seeked", done, { once: true });
      video.currentTime = time;
    }));
    return Promise.all(there).then(tell);
  }
  async function ended() {
    const again = one(".loop").checked && wanted;
    pause();
    if (again) { await seek(0); play(); }
  }

  const self = { section, videos, play, pause, seek, frameNow, playing: () => wanted };
  lead.addEventListener("ended", ended);
  lead.addEventListener("loadeddata", tell);
  for (const video of videos) {
    video.controls = false;
    video.addEventListener("click", () => (wanted ? pause() : play()));
  }
  one(".play").addEventListener("click", () => (wanted ? pause() : play()));
  one(".back").addEventListener("click", () => { pause(); seek(frameNow() - 1); });
  one(".on").addEventListener("click", () => { pause(); seek(frameNow() + 1); });
  one(".seek").addEventListener("input", (event) => { pause(); seek(Number(event.target.value)); });
  one(".rate").addEventListener("change", (event) => { rate = Number(event.target.value); lead.playbackRate = rate; });
  one(".sound").addEventListener("change", (event) => { lead.muted = !event.target.checked; });
  for (const chart of charts) {
    chart.addEventListener("click", (event) => {
      const box = chart.getBoundingClientRect();
      const left = Number(chart.dataset.left), right = Number(chart.dataset.right);
      const share = ((event.clientX - box.left) / box.width - left) / (right - left);
      pause();
      seek(Math.floor(share * frames));
    });
  }
  one(".controls").hidden = false;
  tell();
  return self;
}

for (const section of document.querySelectorAll(".player")) players.push(player(section));
