
// ---- Standing alone: what Streamlit does, for one fixed ladder ----

function given(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

const shadow = document.getElementById("trace").attachShadow({ mode: "open" });
const style = document.createElement("style");
style.textContent = given("css");
shadow.append(style);
ladder({ data: given("data"), parentElement: shadow });
