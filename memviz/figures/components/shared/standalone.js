
// ---- Standing alone: what Streamlit does, for fixed data ----

function given(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

const shadow = document.querySelector("main").attachShadow({ mode: "open" });
const style = document.createElement("style");
style.textContent = given("css");
shadow.append(style);
show({ data: given("data"), parentElement: shadow });
