"use strict";
// Filter and sort the cards as the controls say; the address holds what they say, so that a link brings it back.
const form = document.querySelector("#controls");
if (form) {
  const list = document.querySelector("#cards");
  const cards = [...list.children];
  const texts = new Map(cards.map((card) => [card, card.querySelector("header").textContent.toLowerCase()]));
  const keys = new Map(cards.map((card) => [card, card.querySelector("header code")?.textContent]));
  const numbers = new Intl.NumberFormat("en");
  const choices = [...form.elements].filter((field) => field.name && !["q", "sort", "plain"].includes(field.name));

  const meets = (card, words) =>
    choices.every((field) => {
      const wanted = field.type === "checkbox" ? field.checked && field.value : field.value;
      return !wanted || card.dataset[field.name] === wanted;
    }) && words.every((word) => texts.get(card).includes(word));

  const order = (sort) => {
    if (!sort) return cards;
    if (sort === "key") return [...cards].sort((a, b) => (keys.get(a) < keys.get(b) ? -1 : 1));
    const sign = sort.startsWith("-") ? -1 : 1;
    const value = (card) => parseFloat(card.dataset[sort.replace("-", "")] ?? "NaN");
    return [...cards].sort((a, b) => isNaN(value(a)) - isNaN(value(b)) || sign * (value(a) - value(b)) || 0);
  };

  let sorted = "";
  const show = () => {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) shown += !(card.hidden = !meets(card, words));
    const sort = form.elements.sort?.value ?? "";
    if (sort !== sorted) list.append(...order(sort));
    sorted = sort;
    list.classList.toggle("plain", form.elements.plain.checked);
    document.querySelector("#shown").textContent = numbers.format(shown);
    document.querySelector("#none").hidden = shown > 0;
  };

  const remember = () => {
    const said = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", `#${said}`);
  };

  const restore = () => {
    const said = new URLSearchParams(location.hash.slice(1));
    for (const field of form.elements) {
      if (!field.name) continue;
      const value = said.get(field.name) ?? "";
      if (field.type === "checkbox") field.checked = value === field.value;
      else field.value = value;
      if (field.selectedIndex === -1) field.selectedIndex = 0;
    }
    show();
  };

  form.addEventListener("input", () => { show(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { show(); remember(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", restore);
  list.classList.toggle("many", cards.length > 100);
  form.hidden = false;
  restore();
}
