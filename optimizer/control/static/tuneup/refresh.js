// Keep fragments of a page up to date: each .tu-refresh box asks its URL for its new content, until
// the content says that it is settled. Without JavaScript the page has a link that reloads it.
"use strict";

function follow(box) {
  const pause = Number(box.dataset.refreshMs) || 2000;
  async function turn() {
    if (!document.hidden && !box.contains(document.activeElement)) {
      try {
        const answer = await fetch(box.dataset.refreshUrl, { credentials: "same-origin" });
        if (answer.ok && !answer.redirected) box.innerHTML = await answer.text();
      } catch {
        // The server may be restarting; the next turn asks again.
      }
    }
    const settled = box.querySelector("[data-settled]");
    window.setTimeout(turn, settled ? Math.max(pause, 5000) : pause);
  }
  window.setTimeout(turn, pause);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".tu-refresh").forEach(follow);
});
