"use strict";
// Filter and sort the cards as the controls say; the address holds what they say, so that a link brings it back.
const form = document.querySelector("#controls");
if (form) {
  const list = document.querySelector("#cards");
  const cards = [...list.children];
  const texts = new Map(cards.map((card) => [card, card.querySelector("header").textContent.toLowerCase()]));
  const keys = new Map(cards.map((card) => [card, card.querySelector("header code")?.textContent]));
  const numbers = new Intl.NumberFormat("en");
  const own = ["q", "sort", "of", "only", "plain"];
  const choices = [...form.elements].filter((field) => field.name && !own.includes(field.name));

  const meets = (card, words) =>
    choices.every((field) => {
      const wanted = field.type === "checkbox" ? field.checked && field.value : field.value;
      return !wanted || card.dataset[field.name] === wanted;
    }) && words.every((word) => texts.get(card).includes(word));

  // Where cards hold tables of scores, `of` names the column, and a sort the line; else it names an attribute.
  const scored = (card, line, column) => {
    const text = card.querySelector(`tr[data-line="${line}"]`)?.cells[column]?.textContent;
    return text === "exact" ? Infinity : parseFloat(text ?? "NaN");
  };

  const order = (sort, column) => {
    if (!sort) return cards;
    if (sort === "key") return [...cards].sort((a, b) => (keys.get(a) < keys.get(b) ? -1 : 1));
    const sign = sort.startsWith("-") ? -1 : 1;
    const name = sort.replace("-", "");
    const value = (card) => (column ? scored(card, name, column) : parseFloat(card.dataset[name] ?? "NaN"));
    const values = new Map(cards.map((card) => [card, value(card)]));
    return [...cards].sort((a, b) => {
      const [x, y] = [values.get(a), values.get(b)];
      return isNaN(x) - isNaN(y) || sign * (x - y) || 0;
    });
  };

  const showOnly = (column) => {
    for (const line of list.querySelectorAll(".results tr"))
      [...line.cells].forEach((cell, place) => (cell.hidden = place > 0 && column !== "" && place !== Number(column)));
  };

  let sorted = "";
  let only = "";
  const show = () => {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) shown += !(card.hidden = !meets(card, words));
    const sort = form.elements.sort?.value ?? "";
    const column = form.elements.of?.value ?? "";
    if (sort + column !== sorted) list.append(...order(sort, column));
    sorted = sort + column;
    const wanted = form.elements.only?.value ?? "";
    if (wanted !== only) showOnly(wanted);
    only = wanted;
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
  addEventListener("hashchange", () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target || target.hidden) restore(); // a link to a card that the controls hide
    target?.scrollIntoView();
  });
  list.classList.toggle("many", cards.length > 100);
  form.hidden = false;
  restore();
}
