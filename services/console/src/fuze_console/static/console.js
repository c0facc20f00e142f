// What HTML and htmx cannot do alone: dialogs, keys, selections, and filters of this browser.
(() => {
  "use strict";
  const dialog = document.getElementById("dialog");
  const content = document.getElementById("dialog-content");

  // Dialogs: what htmx loads into the dialog opens it.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === content && !dialog.open) dialog.showModal();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) close();
    if (event.target === dialog) close();
    if (event.target.closest("[data-help]")) showHelp();
  });
  function close() {
    if (dialog?.open) dialog.close();
    else history.back(); // a dialog that was opened as a page
  }
  function showHelp() {
    content.replaceChildren(document.getElementById("help").content.cloneNode(true));
    if (!dialog.open) dialog.showModal();
  }

  // Keys.
  let pending = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog?.open) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
    const key = event.key;
    if (pending === "g") {
      pending = "";
      const link = document.querySelector(`nav [data-key="${CSS.escape(key)}"]`);
      if (link) link.click();
      return;
    }
    if (key === "g") {
      pending = "g";
      setTimeout(() => (pending = ""), 1000);
    } else if (key === "/") {
      event.preventDefault();
      const search = document.querySelector("[data-search]");
      if (search) search.focus();
      else document.querySelector('nav [data-key="s"]')?.click();
    } else if (key === "?") {
      showHelp();
    } else if (key === "j" || key === "k") {
      move(key === "j" ? 1 : -1);
    } else if (key === "x") {
      document.activeElement.closest("tr")?.querySelector("input[type=checkbox]")?.click();
    }
  });
  function move(step) {
    const links = [...document.querySelectorAll("tr[data-row]")].map((row) => row.querySelector("a"));
    const rows = links.map((link) => link?.closest("tr"));
    const at = rows.indexOf(document.activeElement.closest("tr"));
    const next = at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1);
    links[next]?.focus();
  }

  // The row of the navigation on a phone begins where the page is.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // Selections.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form.selection");
    if (!form) return;
    if (event.target.matches("[data-select-all]")) {
      for (const box of boxes(form)) box.checked = event.target.checked;
    }
    showSelection(form);
  });
  document.addEventListener("htmx:load", () => {
    for (const form of document.querySelectorAll("form.selection")) showSelection(form);
  });
  function boxes(form) {
    return [...form.querySelectorAll('input[name="order_id"]')];
  }
  function showSelection(form) {
    const count = boxes(form).filter((box) => box.checked).length;
    const text = form.querySelector("[data-selected]");
    if (text) text.textContent = count ? `${count} selected` : "None selected";
    for (const button of form.querySelectorAll("[data-bulk]")) button.disabled = !count;
    const all = form.querySelector("[data-select-all]");
    if (all) all.indeterminate = count > 0 && count < boxes(form).length;
  }

  // Lists read themselves again, unless a person works on them.
  setInterval(() => {
    const isBusy = dialog?.open || document.querySelector("form.selection input:checked");
    if (!document.hidden && !isBusy) document.body.dispatchEvent(new Event("idle-refresh"));
  }, 20000);

  // Filters are saved in this browser.
  const saved = document.getElementById("saved-filters");
  if (saved) {
    const read = () => {
      try {
        return JSON.parse(localStorage.getItem("fuze-filters")) ?? {};
      } catch {
        return {};
      }
    };
    const write = (filters) => {
      localStorage.setItem("fuze-filters", JSON.stringify(filters));
      show();
    };
    const show = () => {
      const own = saved.querySelector(".own");
      own.replaceChildren();
      for (const [name, query] of Object.entries(read())) {
        const pill = document.createElement("span");
        pill.className = "pill with-button";
        const link = document.createElement("a");
        link.href = `/orders?${query}`;
        link.textContent = name;
        const remove = document.createElement("button");
        remove.type = "button";
        remove.textContent = "×";
        remove.setAttribute("aria-label", `Delete the filter ${name}`);
        remove.addEventListener("click", () => {
          const { [name]: _, ...others } = read();
          write(others);
        });
        pill.append(link, remove);
        own.append(pill);
      }
    };
    const form = saved.querySelector("form.save");
    if (form) {
      form.hidden = false;
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const input = form.querySelector("input");
        write({ ...read(), [input.value.trim()]: saved.dataset.query });
        form.reset();
      });
    }
    show();
  }
})();
