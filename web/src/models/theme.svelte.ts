// Light, dark, or as the system has it; kept on this device and shared by its tabs.

import type { Keep } from '../lib/storage';

export const THEMES = ['system', 'light', 'dark'] as const;
export type ThemeChoice = (typeof THEMES)[number];

export class Theme {
  choice = $state<ThemeChoice>('system');
  readonly #keep: Keep;

  constructor(keep: Keep) {
    this.#keep = keep;
    this.choice = toChoice(keep.get('theme'));
    keep.watch('theme', (value) => (this.choice = toChoice(value)));
  }

  set(choice: ThemeChoice): void {
    this.choice = choice;
    this.#keep.set('theme', choice === 'system' ? null : choice);
  }
}

function toChoice(value: string | null): ThemeChoice {
  return THEMES.find((theme) => theme === value) ?? 'system';
}
