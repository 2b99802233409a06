// Buttons that go away with what they have done would take the focus with them: to the page, where the next key starts anew.

function nowhere(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}

/**
 * Within `root`, a focus whose element goes away is kept: at the message that it was in, else in the log, and for what lies
 * over the log at `field()`. Returns what ends it.
 */
export function keepFocus(root: HTMLElement, field: () => HTMLElement | null): () => void {
  let last: { element: Element; row: HTMLElement | null; over: boolean } | null = null;

  function focused(event: FocusEvent) {
    const element = event.target as Element;
    const over = element.closest('.log') === null;
    last = { element, row: element.closest<HTMLElement>('.msg'), over };
  }

  function left(event: FocusEvent) {
    if (event.relatedTarget !== null) last = null;
    // To nothing: by the reader, or because it is being removed.
    else queueMicrotask(forgetIfThere);
  }

  function forgetIfThere() {
    if (last?.element.isConnected && nowhere() && document.hasFocus()) last = null;
  }

  function removed() {
    if (last === null || last.element.isConnected) return;
    const { row, over } = last;
    last = null;
    if (!nowhere()) return;
    // On a phone the field would raise the keyboard over what is read.
    const log = root.querySelector<HTMLElement>('.log');
    const place = row?.isConnected ? row : over && matchMedia('(pointer: fine)').matches ? field() : log;
    place?.focus({ preventScroll: true });
  }

  const changes = new MutationObserver(removed);
  changes.observe(root, { childList: true, subtree: true });
  root.addEventListener('focusin', focused);
  root.addEventListener('focusout', left);
  return () => {
    changes.disconnect();
    root.removeEventListener('focusin', focused);
    root.removeEventListener('focusout', left);
  };
}
