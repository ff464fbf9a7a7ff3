// A button with data-preview sends its form to its own address and shows the answer on the page.
// Without JavaScript the answer opens in a tab of its own.
"use strict";

async function preview(event) {
  const button = event.target.closest("button[data-preview]");
  if (!button) return;
  event.preventDefault();
  const box = document.getElementById(button.dataset.preview);
  button.disabled = true;
  try {
    const answer = await fetch(button.formAction, {
      method: "POST",
      body: new FormData(button.form),
      credentials: "same-origin",
    });
    box.innerHTML = answer.ok && !answer.redirected ? await answer.text() : "It could not be tried.";
  } catch {
    box.textContent = "The server does not answer.";
  }
  button.disabled = false;
}

document.addEventListener("click", preview);
