// Asks for this page again and again, and puts what has changed in the place of what stood there.
"use strict";
(async () => {
  const MILLISECONDS_BETWEEN_QUESTIONS = 2000;
  const MILLISECONDS_UNTIL_UNANSWERED = 15000;

  const button = document.getElementById("pause");
  const silence = document.getElementById("silence");
  let paused = false;

  // Elements of the same shape are kept, so that a selection, or a screen reader's place, stays in them.
  const isOfSameShape = (one, other) =>
    one.nodeType === other.nodeType &&
    one.nodeName === other.nodeName &&
    one.childNodes.length === other.childNodes.length;

  const update = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (!isOfSameShape(old, fresh)) {
      old.replaceWith(document.adoptNode(fresh));
    } else if (old.nodeType === Node.TEXT_NODE) {
      old.data = fresh.data;
    } else {
      for (const { name } of [...old.attributes]) {
        if (!fresh.hasAttribute(name)) old.removeAttribute(name);
      }
      for (const { name, value } of fresh.attributes) {
        if (old.getAttribute(name) !== value) old.setAttribute(name, value);
      }
      const places = [...fresh.childNodes];
      [...old.childNodes].forEach((child, place) => update(child, places[place]));
    }
  };

  const ask = async () => {
    const signal = AbortSignal.timeout(MILLISECONDS_UNTIL_UNANSWERED);
    const answer = await fetch(location.pathname, { cache: "no-store", signal });
    if (!answer.ok) throw new Error(answer.status);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };

  const refresh = async () => {
    try {
      const fresh = await ask();
      if (paused) return;
      document.title = fresh.title;
      for (const part of document.querySelectorAll("[data-live]")) {
        const counterpart = fresh.getElementById(part.id);
        if (counterpart) update(part, counterpart);
      }
      silence.hidden = true;
    } catch {
      if (!silence.hidden) return;
      silence.textContent = "This worker does not answer any more. What you see is how it was before.";
      silence.hidden = false;
      document.title = "Apollo: no answer";
    }
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    if (!paused) refresh();
  });
  document.addEventListener("visibilitychange", () => document.hidden || paused || refresh());

  for (;;) {
    await new Promise((resume) => setTimeout(resume, MILLISECONDS_BETWEEN_QUESTIONS));
    if (!paused && !document.hidden) await refresh();
  }
})();
