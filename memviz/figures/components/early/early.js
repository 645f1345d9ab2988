
// ---- Before Streamlit is up: a stored trace, drawn where the page will draw it ----

const STYLE = "{{STYLE}}";
const PLACE = "memviz-early-place";
const LONGEST = 15000; // ms; where the page never draws its own, what is here goes away

function ownStrip() {
  const hosts = document.querySelectorAll('[class*="st-key-linked-"] *');
  return [...hosts].find((host) => host.shadowRoot?.querySelector(".trace .token"));
}

// Where the page drew its strip the last time; it is nearly the same for every trace in one window size.
function lastPlace() {
  try {
    const place = JSON.parse(localStorage.getItem(PLACE))?.[innerWidth];
    if (["left", "top", "width"].every((name) => place?.[name] >= 0)) return place;
  } catch {
    // no storage, or not ours: a place near the usual one does as well
  }
  const left = innerWidth > 768 ? 300 : 16;
  return { left, top: innerWidth > 768 ? 428 : 900, width: innerWidth - left - 45 };
}

function keepPlace({ left, top, width }) {
  try {
    localStorage.setItem(PLACE, JSON.stringify({ [innerWidth]: { left, top: top + scrollY, width } }));
  } catch {
    // without storage the next visit starts from the usual place
  }
}

// The visitor's own choice of a theme, where one was made in Streamlit's menu.
function chosenTheme() {
  try {
    const key = Object.keys(localStorage).find((name) => name.startsWith("stActiveTheme"));
    const name = JSON.parse(localStorage.getItem(key))?.name ?? "";
    return /dark/i.test(name) ? "dark" : /light/i.test(name) ? "light" : null;
  } catch {
    return null;
  }
}

function shade(top, height, { left, width }) {
  const box = document.createElement("div");
  box.className = "early-shade";
  Object.assign(box.style, { left: `${left}px`, width: `${width}px`, top: `${top}px`, height: `${height}px` });
  return box;
}

function drawEarly({ css, ...data }) {
  if (ownStrip()) return;
  const place = lastPlace();
  const cover = document.createElement("div");
  Object.assign(cover, { id: "memviz-early", inert: true });
  const theme = chosenTheme() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  cover.classList.add(`early-${theme}`);
  cover.style.left = `${Math.max(0, place.left - 16)}px`;
  const inside = { left: Math.min(16, place.left), width: place.width };
  const host = document.createElement("div");
  Object.assign(host.style, { left: `${inside.left}px`, width: `${place.width}px`, top: `${place.top}px` });
  const shadow = host.attachShadow({ mode: "closed" }); // nothing looks for the page's strip and finds this one
  const style = document.createElement("style");
  style.textContent = css;
  shadow.append(style);
  const own = document.createElement("style");
  own.textContent = STYLE;
  cover.append(own, shade(72, 40, { ...inside, width: 160 }), shade(130, Math.max(40, place.top - 150), inside), host);
  document.body.append(cover);
  const finish = show({ data, parentElement: shadow });
  cover.dataset.tokens = shadow.querySelectorAll(".token").length;
  const since = performance.now();
  const address = location.pathname;
  const wait = () => {
    const drawn = ownStrip();
    if (drawn) keepPlace(drawn.getBoundingClientRect());
    if (drawn || location.pathname !== address || performance.now() - since > LONGEST) {
      finish?.();
      cover.remove();
    } else requestAnimationFrame(wait);
  };
  wait();
}

const answer = await fetch(new URL(`trace.json${location.search}`, import.meta.url));
if (answer.status === 200) drawEarly(await answer.json());
