// Elements are made here, and text reaches the page as text alone: nothing that came from anywhere is parsed as HTML.

export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name === "onclick") made.addEventListener("click", value);
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const replace = (parent, ...children) => parent.replaceChildren(...children);

export const say = (id, text, wrong = false) => {
  const place = byId(id);
  place.textContent = text;
  place.classList.toggle("wrong", wrong);
};
