// Tells Streamlit where its server is, so that it need not find out by asking wrong addresses first.

const here = new URL("..", document.currentScript.src).href;
window.__streamlit = { BACKEND_BASE_URL: here, MAIN_PAGE_BASE_URL: here };

// What a page writes into its own address (pins, filters) replaces its entry, so that Back leads to the page before.
// Streamlit tells of a new page's parameters before it turns to its address, so they wait a moment: where it turns, they
// are part of the new address already, and the entry of the page that was left keeps its own.
const SOON = 250; // ms
const placeOf = (url) => `${url.pathname.replace(/\/$/, "")} ${url.searchParams.get("tour") ?? ""}`;
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

history.pushState = (state, title, url) => {
  const to = new URL(url ?? location.href, location.href);
  forget();
  if (placeOf(to) !== placeOf(new URL(location.href))) push(state, title, url);
  else if (to.href !== location.href) waiting = { url: to.href, timer: setTimeout(settle, SOON) };
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

addEventListener("popstate", forget);
