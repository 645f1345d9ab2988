/** Fetches and runs scripts of this server while nothing else is to be done, so that the page that needs them has them. */
export default function ready({ data }) {
  const fetchAll = () => {
    for (const path of data.scripts) import(new URL(path, document.baseURI).href).catch(() => undefined);
  };
  if ("requestIdleCallback" in globalThis) requestIdleCallback(fetchAll, { timeout: 3000 });
  else setTimeout(fetchAll, 1000);
}
