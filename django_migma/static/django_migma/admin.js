/* Copies ids, sends a form once, and lets images into the preview without leaving the page. Every page works without it. */
"use strict";

(() => {
  const PATIENCE = 20_000; // milliseconds; no request of ours takes longer, so that one has been stopped by then

  // The clipboard needs https, which an admin inside a company may not have, and may be closed to us all the same.
  const fallback = (text) => {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return fallback(text);
    }
  };

  const sayCopied = (button) => {
    const { textContent } = button;
    if (textContent === button.dataset.copied) return;
    const label = button.getAttribute("aria-label");
    button.textContent = button.dataset.copied;
    button.removeAttribute("aria-label");
    setTimeout(() => {
      button.textContent = textContent;
      button.setAttribute("aria-label", label);
    }, 2000);
    button.focus();
  };

  const setDisabled = (form, disabled) => {
    form.querySelectorAll("[type=submit]").forEach((button) => { button.disabled = disabled; });
  };

  const enableAll = () => {
    document.querySelectorAll("[data-migma-once]").forEach((form) => setDisabled(form, false));
  };

  // New frames in place of the old ones: another address in the same frame would be a step in the history.
  const showPreview = (link) => {
    document.querySelectorAll(".migma-views iframe").forEach((frame) => {
      const fresh = frame.cloneNode();
      fresh.src = link.dataset.migmaPreview;
      frame.replaceWith(fresh);
    });
    document.querySelectorAll("[data-migma-preview]").forEach((each) => { each.parentElement.hidden = each === link; });
    document.querySelector("p:not([hidden]) > [data-migma-preview]").focus();
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".migma-copy").forEach((button) => { button.hidden = false; });
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".migma-copy");
    if (!button) return;
    if (await copy(button.dataset.copy)) sayCopied(button);
    else window.prompt(button.dataset.prompt, button.dataset.copy);
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-migma-preview]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    showPreview(link);
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-migma-once]")) return;
    setDisabled(event.target, true);
    setTimeout(enableAll, PATIENCE);
  });

  // The Stop button has no event, but its key has one.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") enableAll();
  });

  // The back button may bring the page back as it was left.
  window.addEventListener("pageshow", enableAll);
})();
