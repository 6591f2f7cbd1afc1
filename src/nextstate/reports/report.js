// Clips: every canvas of a scene shows the same instant, drawn from the scene's sheets.
(() => {
  "use strict";
  const HOLD = 8; // instants to rest on the last one before looping
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  class Scene {
    constructor(article) {
      this.article = article;
      const { instants, hz, width, height } = article.dataset;
      Object.assign(this, { instants: +instants, hz: +hz, width: +width, height: +height });
      this.canvases = [...document.querySelectorAll(`canvas[data-scene="${article.id}"]`)];
      this.sheets = {};
      for (const image of article.querySelectorAll("img[data-sheet]")) this.sheets[image.dataset.sheet] = image;
      this.range = article.querySelector("input[type=range]");
      this.output = article.querySelector("output");
      this.button = article.querySelector(".play");
      this.playing = !still;
      this.seen = new Set();
      this.elapsed = still ? (this.instants - 1) / this.hz : 0; // at rest, show how it ends
      this.instant = -1;
      this.picture = "rgb";
      this.button.addEventListener("click", () => this.play(!this.playing));
      this.range.addEventListener("input", () => {
        this.play(false);
        this.elapsed = +this.range.value / this.hz;
        this.show();
      });
      for (const radio of article.querySelectorAll("input[type=radio]")) {
        if (radio.checked) this.picture = radio.value;
        radio.addEventListener("change", () => {
          this.picture = radio.value;
          this.show(true);
        });
      }
      this.play(this.playing);
      addEventListener("load", () => this.show(true));
    }

    play(playing) {
      this.playing = playing;
      this.article.classList.toggle("playing", playing);
      this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    }

    advance(seconds) {
      if (!this.playing || !this.seen.size) return;
      this.elapsed = (this.elapsed + seconds) % ((this.instants + HOLD) / this.hz);
      this.show();
    }

    show(anyway) {
      const instant = Math.min(Math.floor(this.elapsed * this.hz + 1e-6), this.instants - 1);
      if (instant === this.instant && !anyway) return;
      this.instant = instant;
      this.range.value = instant;
      this.output.textContent = `+${(instant / this.hz).toFixed(1)} s`;
      this.article.style.setProperty("--now", instant / Math.max(this.instants - 1, 1));
      for (const canvas of this.canvases) {
        const inside = this.article.contains(canvas);
        const sheet = this.sheets[`${canvas.dataset.kind}-${inside ? this.picture : "rgb"}`];
        if (!sheet || !sheet.naturalWidth) continue;
        const pen = canvas.getContext("2d");
        pen.clearRect(0, 0, this.width, this.height);
        pen.drawImage(sheet, instant * this.width, canvas.dataset.row * this.height, this.width, this.height,
          0, 0, this.width, this.height);
      }
    }
  }

  const scenes = [...document.querySelectorAll(".scene")].map((article) => new Scene(article));
  const owner = new Map(scenes.flatMap((scene) => scene.canvases.map((canvas) => [canvas, scene])));
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      owner.get(target).seen[isIntersecting ? "add" : "delete"](target);
    }
  });
  for (const canvas of owner.keys()) watcher.observe(canvas);
  let before = performance.now();
  const tick = (now) => {
    const seconds = Math.min((now - before) / 1000, 0.25);
    before = now;
    for (const scene of scenes) scene.advance(seconds);
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
})();
