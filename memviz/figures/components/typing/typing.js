// Tells the server what is typed into some fields a moment after the last key, as Ctrl+Enter does, not only when they
// are left.

const MOMENT = 100; // ms
let timer = 0;

function tell(field) {
  clearTimeout(timer);
  const pressed = { key: "Enter", ctrlKey: true, bubbles: true };
  timer = setTimeout(() => field.dispatchEvent(new KeyboardEvent("keydown", pressed)), MOMENT);
}

export default function show({ data }) {
  const hear = ({ target, isComposing }) => !isComposing && target.matches?.(data.fields) && tell(target);
  document.addEventListener("input", hear);
  return () => document.removeEventListener("input", hear);
}
