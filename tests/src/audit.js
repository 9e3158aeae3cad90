// Faults of the page that keep somebody from using it, as a list of sentences. Criteria of WCAG 2.2, level AA.
const faults = [];
const all = (css) => [...document.querySelectorAll(css)];
const excerpt = (element) => element.outerHTML.slice(0, 120);
const isShown = (element) => element.checkVisibility() && element.getClientRects().length > 0;

// 3.1.1, 2.4.2, 1.3.1, 2.4.6
if (!document.documentElement.lang) faults.push("the page does not say its language");
if (!document.title.trim()) faults.push("the page has no title");
if (all("main").length !== 1) faults.push("there is not exactly one <main>");
if (all("h1").length !== 1) faults.push("there is not exactly one <h1>");
all("h1, h2, h3, h4, h5, h6").reduce((above, heading) => {
  const level = Number(heading.tagName[1]);
  if (level > above + 1) faults.push(`a heading skips a level: ${excerpt(heading)}`);
  return level;
}, 0);

// 1.1.1, 3.3.2, 4.1.2
for (const input of all("input:not([type=hidden]), select, textarea")) {
  const labelled = [...input.labels].some((label) => label.textContent.trim()) || input.ariaLabel;
  if (!labelled) faults.push(`no label for ${excerpt(input)}`);
  for (const id of (input.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean)) {
    if (!document.getElementById(id)) faults.push(`${excerpt(input)} is described by nothing: ${id}`);
  }
}
for (const image of all("img:not([alt])")) faults.push(`no words for ${excerpt(image)}`);
for (const target of all("button, a[href]")) {
  if (!target.textContent.trim() && !target.ariaLabel) faults.push(`no name for ${excerpt(target)}`);
}
const ids = all("[id]").map((element) => element.id);
for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) faults.push(`two elements are ${id}`);

// 1.4.10: nothing has to be scrolled to the side.
const { scrollWidth, clientWidth } = document.documentElement;
if (scrollWidth > clientWidth) faults.push(`the page is ${scrollWidth} wide where ${clientWidth} fit`);

// 2.5.8: what is pressed is large enough; a link within a sentence need not be.
for (const target of all("button, input:not([type=hidden]), a[href]").filter(isShown)) {
  const { width, height } = target.getBoundingClientRect();
  if (getComputedStyle(target).display !== "inline" && (width < 24 || height < 24)) {
    faults.push(`too small to press: ${excerpt(target)}`);
  }
}

// 1.4.3: the contrast of text with what is behind it.
const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
const luminance = (colour) => {
  const [red, green, blue] = parts(colour)
    .slice(0, 3)
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const isOpaque = (colour) => (parts(colour)[3] ?? 1) === 1;
const canvas = () => {
  const sample = document.body.appendChild(document.createElement("div"));
  sample.style.backgroundColor = "Canvas";
  const colour = getComputedStyle(sample).backgroundColor;
  sample.remove();
  return colour;
};
const background = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (isOpaque(colour)) return colour;
  }
  return canvas();
};
const contrast = (element) => {
  const [dark, light] = [getComputedStyle(element).color, background(element)]
    .map(luminance)
    .sort((one, other) => one - other);
  return (light + 0.05) / (dark + 0.05);
};
const ownText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
for (const element of all("body *").filter((element) => isShown(element) && (ownText(element) || element.value))) {
  const ratio = contrast(element);
  if (ratio < 4.5) faults.push(`a contrast of ${ratio.toFixed(2)} in ${excerpt(element)}`);
}
return faults;
