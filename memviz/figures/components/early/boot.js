// Tells Streamlit where its server is, so that it need not find out by asking wrong addresses first.

const here = new URL("..", document.currentScript.src).href;
window.__streamlit = { BACKEND_BASE_URL: here, MAIN_PAGE_BASE_URL: here };
