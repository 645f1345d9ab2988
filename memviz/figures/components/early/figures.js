// What draws figures takes seconds to be read: that is done while the server still works out the first of them.

const code = document.querySelector("link[data-figures]").href;
const waiting = new MutationObserver(() => {
  if (!document.querySelector("[data-testid=stMainBlockContainer] h1")) return;
  waiting.disconnect();
  import(code).catch(() => {}); // the page asks for it again, and says what is wrong
});
waiting.observe(document.documentElement, { childList: true, subtree: true });
