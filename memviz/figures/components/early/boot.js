// Tells Streamlit where its server is, so that it need not find out by asking wrong addresses first.

const here = new URL("..", document.currentScript.src).href;
window.__streamlit = { BACKEND_BASE_URL: here, MAIN_PAGE_BASE_URL: here };

// What a page writes into its own address (pins, filters) replaces its entry, so that Back leads to the page before.
// Streamlit tells of a new page's parameters before it turns to its address, so they wait a moment: where it turns, they
// are part of the new address already, and the entry of the page that was left keeps its own.
const SOON = 250; // ms
const KEPT = "memviz-scroll";
const block = () => document.querySelector("[data-testid=stMain]");
const pathOf = (url) => url.pathname.replace(/\/$/, "");
const push = history.pushState.bind(history);
const replace = history.replaceState.bind(history);
let waiting = null;

function forget() {
  clearTimeout(waiting?.timer);
  waiting = null;
}

function settle() {
  const url = waiting?.url;
  forget();
  if (url) replace({}, "", url);
}

// Two stops of a tour on one page are two places.
function isSame(a, b) {
  const stops = [a, b].map((url) => url.searchParams.get("tour"));
  return pathOf(a) === pathOf(b) && (stops[0] === stops[1] || stops.includes(null));
}

// How far down a page was read is kept for who comes back to it, by its path.
function keepScroll() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    sessionStorage.setItem(KEPT, JSON.stringify({ ...kept, [pathOf(location)]: block()?.scrollTop ?? 0 }));
  } catch {
    // without storage a page begins at its top
  }
}

function scrollBack() {
  const path = pathOf(location);
  let down = 0;
  try {
    down = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}")[path] ?? 0;
  } catch {
    return;
  }
  const until = performance.now() + 5000;
  const go = () => {
    const main = block();
    if (pathOf(location) !== path || performance.now() > until || !down) return;
    if (main && main.scrollHeight - main.clientHeight >= down) main.scrollTop = down;
    if (main?.scrollTop !== down) setTimeout(go, 100);
  };
  setTimeout(go, 100);
}

history.pushState = (state, title, url) => {
  const to = new URL(url ?? location.href, location.href);
  forget();
  if (!isSame(to, new URL(location.href))) {
    keepScroll();
    push(state, title, url);
  } else if (to.href !== location.href) waiting = { url: to.href, timer: setTimeout(settle, SOON) };
};

history.replaceState = (state, title, url) => {
  const to = new URL(url ?? location.href, location.href);
  for (const [name, value] of new URL(waiting?.url ?? to.href).searchParams) {
    if (!to.searchParams.has(name)) to.searchParams.append(name, value); // what still waits is not lost
  }
  const isAsked = !waiting;
  forget();
  replace(state, title, isAsked ? url : to.href);
};

addEventListener("popstate", () => {
  forget();
  scrollBack();
});
