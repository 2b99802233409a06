// What was in the message field of a guest that this browser is no more. It goes into the outbox's store as that guest's,
// never to be sent by itself; the guest that is now sees it there.

import type { Keep } from '../lib/storage';
import type { OutboxStore } from './outbox_store';

const DRAFT = 'draft.';

/** `tab` is this tab's own store of drafts, `keep` that of all. */
export async function collectDrafts(keep: Keep, tab: Keep, store: OutboxStore, owner: string): Promise<void> {
  if (!store.durable) return; // where they are they are safer
  for (const [from, skipped] of [
    [keep, 0],
    [tab, 1],
  ] as const) {
    for (const key of from.keys(DRAFT)) {
      const name = key.slice(DRAFT.length);
      const dot = name.lastIndexOf('.');
      const whose = name.slice(0, dot);
      if (whose === owner) continue;
      const text = (from.get(key) ?? '').slice(skipped);
      if (text.trim() !== '') {
        // Named by what it is, so that two tabs that do this at once make one.
        const cid = `draft.${name}.${text.length}.${hash(text)}`;
        const room = name.slice(dot + 1);
        await store.add({ cid, owner: whose, room, text, at: Date.now(), tried: false, draft: true });
      }
      from.set(key, null);
    }
  }
}

function hash(text: string): string {
  let value = 0x811c9dc5; // FNV-1a
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return (value >>> 0).toString(16);
}
