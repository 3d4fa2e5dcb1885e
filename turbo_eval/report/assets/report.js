"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const loop = document.getElementById("loop");
  const speed = document.getElementById("speed");
  const playAll = document.getElementById("play-all");
  const players = [];
  let everything = false;

  const seconds = (t) => `${t.toFixed(2)} s`;

  // Resolves when the event comes, when the clip turns out broken, or after two seconds: one bad
  // clip must not hold the row.
  const once = (video, name) =>
    new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        video.removeEventListener(name, done);
        video.removeEventListener("error", done);
        resolve();
      };
      const timer = setTimeout(done, 2000);
      video.addEventListener(name, done);
      video.addEventListener("error", done);
    });

  class Player {
    constructor(row) {
      this.row = row;
      this.fps = Number(row.dataset.fps) || 8;
      this.videos = [...row.querySelectorAll("video")];
      this.button = row.querySelector(".play");
      this.scrub = row.querySelector(".scrub");
      this.time = row.querySelector(".time");
      this.playing = false;
      this.busy = 0;
      this.turn = 0;
      for (const video of this.videos) {
        video.controls = false;
        video.muted = true;
        video.addEventListener("loadedmetadata", () => this.measure(video));
        video.addEventListener("error", () => this.drop(video));
        if (video.error) this.drop(video);
        else if (video.readyState > 0) this.measure(video);
      }
      this.button.addEventListener("click", () => this.toggle());
      this.scrub.addEventListener("input", () => this.seek(Number(this.scrub.value)));
      row.addEventListener("keydown", (event) => this.key(event));
      this.show(0);
    }

    measure(video) {
      video.classList.toggle("small", video.videoWidth <= 160);
      video.style.setProperty("--ratio", `${video.videoWidth} / ${video.videoHeight}`);
      this.scrub.max = String(this.duration());
      this.show(this.now());
    }

    drop(video) {
      this.videos = this.videos.filter((other) => other !== video);
      const note = document.createElement("p");
      note.className = "no-clip";
      note.textContent = "This browser cannot play the clip.";
      video.replaceWith(note);
      if (!this.videos.length) this.button.disabled = true;
    }

    duration() {
      return Math.max(0, ...this.videos.map((v) => v.duration || 0));
    }

    // The longest clip leads; shorter ones wait on their last frame.
    leader() {
      return this.videos.reduce((a, b) => ((b.duration || 0) > (a.duration || 0) ? b : a), this.videos[0]);
    }

    now() {
      const leader = this.leader();
      return leader ? leader.currentTime : 0;
    }

    show(t) {
      const whole = this.duration();
      this.scrub.value = String(t);
      this.time.textContent = `${seconds(t)} of ${seconds(whole)}`;
      this.scrub.setAttribute("aria-valuetext", this.time.textContent);
    }

    label() {
      this.button.textContent = this.playing ? "Pause" : "Play";
      this.row.classList.toggle("playing", this.playing);
    }

    move(t) {
      return Promise.all(
        this.videos.map((video) => {
          // A hair before the end, so that the last frame is shown and not the state "ended".
          const target = Math.max(0, Math.min(t, (video.duration || 0) - 0.001));
          if (Math.abs(video.currentTime - target) < 1e-6 && !video.seeking) return null;
          const sought = once(video, "seeked");
          video.currentTime = target;
          return sought;
        }),
      );
    }

    seek(t) {
      this.pause();
      const place = Math.max(0, Math.min(t, this.duration()));
      this.show(place);
      return this.move(place);
    }

    step(frames) {
      const last = Math.max(0, Math.round(this.duration() * this.fps) - 1);
      const here = Math.floor(this.now() * this.fps + 0.01);
      const next = Math.max(0, Math.min(last, here + frames));
      // A little inside the frame: exactly on its edge a decoder may show the one before.
      return this.seek(next === 0 ? 0 : (next + 0.1) / this.fps);
    }

    async ready() {
      for (const video of this.videos) video.preload = "auto";
      await Promise.all(this.videos.map((v) => (v.readyState >= 3 ? null : once(v, "canplay"))));
    }

    async start(from) {
      const turn = ++this.turn;
      await this.ready();
      await this.move(from);
      if (turn !== this.turn || !this.playing) return;
      const rate = speed ? Number(speed.value) : 1;
      for (const video of this.videos) video.playbackRate = rate;
      try {
        await Promise.all(
          this.videos.filter((v) => from < (v.duration || 0) - 0.01).map((v) => v.play()),
        );
      } catch (error) {
        if (turn === this.turn && error.name !== "AbortError") this.pause();
        return;
      }
      if (turn === this.turn && this.playing) requestAnimationFrame(() => this.tick(turn));
    }

    tick(turn) {
      if (turn !== this.turn || !this.playing || !this.videos.length) return;
      const leader = this.leader();
      this.show(leader.currentTime);
      if (leader.ended) {
        if (loop && loop.checked) this.start(0);
        else {
          this.pause();
          if (everything && players.every((p) => !p.playing)) setEverything(false);
        }
        return;
      }
      const rate = speed ? Number(speed.value) : 1;
      leader.playbackRate = rate;
      for (const video of this.videos) {
        if (video === leader || video.ended || video.seeking) continue;
        const ahead = video.currentTime - leader.currentTime;
        // Small errors are walked off, large ones jumped over: a jump shows as a stutter.
        if (Math.abs(ahead) > 0.25 && leader.currentTime < video.duration - 0.05) {
          video.currentTime = leader.currentTime;
        } else if (Math.abs(ahead) > 0.25 / this.fps) {
          video.playbackRate = rate * (ahead > 0 ? 0.85 : 1.15);
        } else {
          video.playbackRate = rate;
        }
      }
      requestAnimationFrame(() => this.tick(turn));
    }

    play() {
      if (this.playing || !this.videos.length) return;
      this.playing = true;
      this.label();
      const here = this.now();
      this.start(here >= this.duration() - 0.5 / this.fps ? 0 : here);
    }

    pause() {
      this.turn += 1;
      this.playing = false;
      this.label();
      for (const video of this.videos) video.pause();
    }

    // Pausing by hand also brings the clips onto one frame.
    stop() {
      const here = this.now();
      this.pause();
      this.show(here);
      this.move(here);
    }

    toggle() {
      if (this.playing) this.stop();
      else this.play();
    }

    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const native = event.target.closest("button, a, summary, select");
      const far = event.shiftKey ? 5 : 1;
      if (event.key === " ") {
        if (native) return;
        this.toggle();
      } else if (event.key === "ArrowLeft") this.step(-far);
      else if (event.key === "ArrowRight") this.step(far);
      else if (event.key === "Home") this.seek(0);
      else if (event.key === "End") this.step(1e6);
      else return;
      event.preventDefault();
    }
  }

  // "Play all" plays the rows that can be seen: dozens of hidden clips would only cost power.
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const player = players.find((p) => p.row === entry.target);
        player.visible = entry.isIntersecting;
        if (!everything) continue;
        if (player.visible) player.play();
        else player.stop();
      }
    },
    { rootMargin: "80px" },
  );

  const setEverything = (on) => {
    everything = on;
    playAll.textContent = on ? "Pause all" : "Play all";
    playAll.setAttribute("aria-pressed", String(on));
  };

  for (const row of document.querySelectorAll(".clip-row")) {
    const player = new Player(row);
    players.push(player);
    seen.observe(row);
  }
  if (playAll) {
    playAll.addEventListener("click", () => {
      setEverything(!everything);
      for (const player of players) {
        if (!everything) {
          if (player.playing) player.stop();
        } else if (player.visible) player.play();
      }
    });
  }

  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Older browsers and pages opened from disk may refuse the newer way.
      const area = document.createElement("textarea");
      area.value = text;
      area.setAttribute("readonly", "");
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const said = button.closest(".tools").querySelector(".said");
      const done = await copied(document.getElementById(button.dataset.copy).textContent);
      button.focus();
      said.textContent = done ? "Copied" : "Could not copy: open the table below instead";
      setTimeout(() => { said.textContent = ""; }, 4000);
    });
  }
})();
