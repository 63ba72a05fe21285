"use strict";
// A video of the page: linked beside it, or chosen by hand. Several share one time, in which the stimulus begins at 0.
const Player = (() => {
  // A video stands at the nearest frame, not exactly where it was sent.
  const SAME_S = 0.06;

  /** `told` is given the moment whenever the reader plays the video or moves in it, and whether it rests there. */
  const connect = (figure, told) => {
    const video = figure.querySelector("video");
    const missing = figure.querySelector(".missing");
    const choose = figure.querySelector(".choose");
    const file = choose.querySelector("input");
    const chosen = new Map();
    let current = { key: null, url: null, onset: 0 };
    let sent = null;

    const playable = () => !video.hidden && !video.error;
    const refuse = (text, open = true) => {
      video.hidden = true;
      missing.textContent = text;
      missing.hidden = false;
      choose.hidden = !open;
    };
    const check = () => {
      if (current.url === null) return;
      if (!video.error && !(video.readyState >= 1 && !video.videoWidth)) return;
      refuse("This browser cannot play the video, or the file no longer stands where it was.");
    };
    const load = (url) => {
      current.url = url;
      missing.hidden = true;
      choose.hidden = true;
      video.hidden = false;
      video.src = url;
    };
    for (const name of ["error", "loadedmetadata", "loadeddata", "stalled"]) video.addEventListener(name, check);

    const tell = (rests) => {
      if (current.url === null || video.hidden) return;
      if (sent !== null && video.paused && Math.abs(video.currentTime - sent) < SAME_S) return;
      sent = null;
      told(video.currentTime - current.onset, rests);
    };
    for (const name of ["timeupdate", "seeking"]) video.addEventListener(name, () => tell(false));
    for (const name of ["seeked", "pause"]) video.addEventListener(name, () => tell(video.paused));
    // Several times smoother than timeupdate, where the browser has it.
    const everyFrame = () => { tell(false); video.requestVideoFrameCallback(everyFrame); };
    video.requestVideoFrameCallback?.(everyFrame);

    const seek = (seconds) => {
      if (!playable() || current.url === null) return;
      sent = Math.max(seconds + current.onset, 0);
      video.currentTime = sent;
    };
    file.addEventListener("change", () => {
      if (!file.files.length) return;
      chosen.set(current.key, URL.createObjectURL(file.files[0]));
      load(chosen.get(current.key));
      file.value = "";
      told(null, true);
    });

    return {
      /** Shows a video; of one that exists elsewhere the reader may choose the file. */
      show: (key, url, onset, label, exists = true) => {
        if (current.key === key) return;
        current = { key, url: null, onset };
        sent = null;
        video.setAttribute("aria-label", label);
        const address = chosen.get(key) ?? url;
        if (address) return load(address);
        video.removeAttribute("src");
        video.load();
        return exists ? refuse("The video does not stand beside this page.") : refuse("This stimulus has no video.", false);
      },
      seek,
      toggle: () => {
        if (!playable() || current.url === null) return;
        if (video.paused) video.play();
        else video.pause();
      },
      pause: () => { if (!video.paused) video.pause(); },
      onPlay: (run) => video.addEventListener("play", run),
    };
  };

  return { connect };
})();
