
// ---- Standing alone: what Streamlit does, for one fixed trace ----

function given(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

const shadow = document.getElementById("trace").attachShadow({ mode: "open" });
const style = document.createElement("style");
style.textContent = given("css");
shadow.append(style);
trace({ data: given("data"), parentElement: shadow });
