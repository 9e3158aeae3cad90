// Asks for the outcome of the consent, and shows it in the place of "linking your account".
"use strict";
(async () => {
  const MILLISECONDS_BETWEEN_QUESTIONS = 1000;
  const MILLISECONDS_BETWEEN_LATE_QUESTIONS = 5000;
  const MILLISECONDS_BETWEEN_REPETITIONS = 20000;
  const MILLISECONDS_UNTIL_LATE = 120000;

  const path = "/oauth/garmin/status/" + document.querySelector("main").dataset.consentId;
  const place = document.querySelector("[role=status]");

  const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

  // A failure is passing: the next question will tell.
  const ask = async () => {
    try {
      const answer = await fetch(path, { cache: "no-store" });
      return answer.ok ? (await answer.json()).status : "pending";
    } catch {
      return "pending";
    }
  };

  // The address of this page is Garmin's callback. Calling it again does no harm, and has an outcome told that was missed.
  const repeat = () => fetch(location.href, { cache: "no-store" }).catch(() => {});

  const show = (name) => {
    const words = document.getElementById("words-" + name);
    place.replaceChildren(words.content.cloneNode(true));
    document.title = words.dataset.title;
  };

  const begun = performance.now();
  let repeated = begun;
  let late = false;
  for (;;) {
    const status = await ask();
    if (status !== "pending") {
      return show(status);
    }
    const now = performance.now();
    if (now - repeated > MILLISECONDS_BETWEEN_REPETITIONS) {
      repeated = now;
      repeat();
    }
    if (!late && now - begun > MILLISECONDS_UNTIL_LATE) {
      late = true;
      show("late");
    }
    await pause(late ? MILLISECONDS_BETWEEN_LATE_QUESTIONS : MILLISECONDS_BETWEEN_QUESTIONS);
  }
})();
