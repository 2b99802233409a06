// Times as people read them: the clock beside a message, the whole date in its tooltip, the day between days.

const DAY_MS = 86_400_000;

const halves = new Intl.DateTimeFormat(undefined, { hour: 'numeric' }).resolvedOptions().hour12 === true;
const clock = new Intl.DateTimeFormat(undefined, { hour: halves ? 'numeric' : '2-digit', minute: '2-digit' });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const weekday = new Intl.DateTimeFormat('en', { weekday: 'long', day: 'numeric', month: 'long' });
const withYear = new Intl.DateTimeFormat('en', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });

export function clockTime(at: number): string {
  return clock.format(at);
}

/** Without "AM" and "PM", for where there is little room. */
export function shortTime(at: number): string {
  const parts = clock.formatToParts(at).filter(({ type }) => type !== 'dayPeriod');
  return parts
    .map(({ value }) => value)
    .join('')
    .trim();
}

export function wholeTime(at: number): string {
  return whole.format(at);
}

export function isoTime(at: number): string {
  return new Date(at).toISOString();
}

/** The start of the local day that `at` is in. Days are compared by it. */
export function dayOf(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** The start of the local day after `day`; not 24 hours later where the clocks change. */
export function nextDay(day: number): number {
  return dayOf(day + 1.5 * DAY_MS);
}

export function dayLabel(day: number, today: number, words: { today: string; yesterday: string }): string {
  if (day === today) return words.today;
  if (nextDay(day) === today) return words.yesterday;
  const sameYear = new Date(day).getFullYear() === new Date(today).getFullYear();
  return (sameYear ? weekday : withYear).format(day);
}
