// What HTML alone cannot: the value beside a slider, and a button that stays shut until a name is typed.
"use strict";

function tell(input) {
  const output = input.parentElement.querySelector("output");
  if (!output) return;
  const none = input.dataset.zero !== undefined && Number(input.value) === 0;
  const times = input.dataset.unit === "×";
  output.textContent = none ? input.dataset.zero : times ? `× ${input.value}` : `${input.value} ${input.dataset.unit}`;
  input.setAttribute("aria-valuetext", output.textContent);
}

function guard(input) {
  const button = input.form.querySelector("button");
  button.disabled = input.value.trim() !== input.dataset.wanted;
}

function look(root) {
  root.querySelectorAll("input[type=range]").forEach(tell);
  root.querySelectorAll("input[data-wanted]").forEach(guard);
}

document.addEventListener("input", (event) => {
  if (event.target.matches("input[type=range]")) tell(event.target);
  if (event.target.matches("input[data-wanted]")) guard(event.target);
});
// A button that was pressed is not pressed twice; the server would know it anyway.
document.addEventListener("submit", (event) => {
  const button = event.target.querySelector("button:not([type=button])");
  if (button) setTimeout(() => { button.disabled = true; button.setAttribute("aria-busy", "true"); });
});
// A page that waits for a server that is gone would wait for ever; what comes next takes the place of this.
document.addEventListener("htmx:sseError", (event) => {
  const box = event.target;
  if (!box.dataset.lost || box.querySelector("[role=alert]")) return;
  const told = document.createElement("p");
  told.className = "bad";
  told.setAttribute("role", "alert");
  told.textContent = box.dataset.lost;
  box.append(told);
});
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
look(document);
