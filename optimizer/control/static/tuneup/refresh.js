// Keep fragments of a page up to date: each .tu-refresh box asks its URL for its new content, often
// at first and slowly once the content says that it is settled or has been watched for a while.
// Without JavaScript the page has a link that reloads it.
"use strict";

const SLOW_MS = 5000;
const WATCH_CLOSELY_MS = 30000;

function follow(box) {
  const pause = Number(box.dataset.refreshMs) || SLOW_MS;
  const started = Date.now();
  let shown = "";

  async function turn() {
    if (!document.hidden && !box.contains(document.activeElement)) {
      try {
        const answer = await fetch(box.dataset.refreshUrl, { credentials: "same-origin" });
        if (answer.redirected) return; // logged out: the next click leads to the login page
        const content = answer.ok ? await answer.text() : shown;
        // Replaced only when it differs, so that selections stay and screen readers are silent.
        if (content !== shown) box.innerHTML = content;
        shown = content;
      } catch {
        // The server may be restarting; the next turn asks again.
      }
    }
    const calm = box.querySelector("[data-settled]") || Date.now() - started > WATCH_CLOSELY_MS;
    window.setTimeout(turn, calm ? Math.max(pause, SLOW_MS) : pause);
  }
  window.setTimeout(turn, pause);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".tu-refresh").forEach(follow);
});
