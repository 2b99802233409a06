// Every text that people read, once. Functions where something is counted or named.

import type { Failure, FailureCode } from './protocol';

const plural = new Intl.PluralRules('en');
const number = new Intl.NumberFormat('en');

function count(n: number, one: string, other: string): string {
  return `${number.format(n)} ${plural.select(n) === 'one' ? one : other}`;
}

const WHERE = { device: 'on this device', tab: 'in this tab only', page: 'on this page only' };
const KEEP_OPEN = { device: '', tab: ' Leave the tab open.', page: ' A reload loses it.' };

function waiting(n: number, where: string): string {
  if (n === 0) return `What you write is kept ${where} and goes out by itself.`;
  return n === 1
    ? `1 message waits ${where} and goes out by itself.`
    : `${number.format(n)} messages wait ${where} and go out by themselves.`;
}

export const S = {
  app: 'palaver',

  welcome: {
    brandTitle: 'Talk until it is settled.',
    brandText: 'A palaver is a talk held under a tree. Say who you are, and sit down.',
    brandFoot: (host: string) => `${host}, on its own server`,
    title: 'Come in',
    name: 'Your name',
    namePlaceholder: 'For example Lucien',
    nameHint: 'No password. Others see you under this name.',
    join: 'Join as guest',
    joining: 'Joining…',
    tryAgain: 'Try again',
    signedOut: 'You are signed out. What you wrote and did not send is kept: you find it in the room.',
    wantName: 'Say a name first.',
  },

  starting: {
    title: 'The server does not answer.',
    notReady: 'The server is not ready.',
    text: 'This page goes on trying by itself, and needs no reload.',
  },

  skip: 'Skip to the message field',
  rooms: 'Rooms',
  openRoom: (name: string) => `#${name}`,
  unread: 'unread: ',
  back: (unread: number) => (unread > 0 ? `Back to rooms, ${number.format(unread)} unread` : 'Back to rooms'),
  guest: 'Guest',
  connection: { online: 'Connected', connecting: 'Connecting…', offline: 'Offline' },
  presence: { on: 'online', off: 'offline' },
  settings: {
    button: 'Settings',
    theme: 'Appearance',
    system: 'As the system',
    light: 'Light',
    dark: 'Dark',
    shortcuts: 'Keyboard shortcuts',
  },
  shortcuts: {
    title: 'Keyboard shortcuts',
    close: 'Close',
    rows: [
      ['Enter', 'Send the message'],
      ['Shift+Enter', 'New line'],
      ['F6', 'Next region: rooms, messages, message field'],
      ['Shift+F6', 'Region before'],
      ['↑ ↓', 'From message to message'],
      ['Home, End', 'Oldest message here, newest message'],
      ['Enter', 'On a message: its tools'],
      ['Esc', 'Mark as read, and back to the message field'],
      ['Ctrl+/', 'This list'],
    ] as const,
  },

  room: {
    label: (name: string) => `#${name}`,
    title: (name: string) => `#${name} · palaver`,
    titleUnread: (name: string, n: number) => `(${n > 99 ? '99+' : n}) #${name} · palaver`,
    log: (name: string) => `Messages in #${name}`,
    begin: (name: string) => `This is where #${name} begins.`,
    emptyTitle: 'Nothing said yet. Say the first thing.',
    emptyText: (name: string) => `This is #${name}; everyone who comes in lands here.`,
    olderFailed: 'Older messages did not come.',
    again: 'Try again',
    gone: 'This room is not there any more.',
    newLine: 'New',
    newLineLabel: 'New messages',
    jump: 'Jump to latest',
    jumpLabel: (n: number) => (n > 0 ? `Jump to latest, ${count(n, 'new message', 'new messages')}` : 'Jump to latest'),
    today: 'Today',
    yesterday: 'Yesterday',
  },

  message: {
    label: (author: string, time: string) => `${author}, ${time}`,
    heard: (author: string, text: string) => `${author}: ${text}`,
    tools: 'Message actions',
    copy: 'Copy text',
    sending: 'Sending…',
    waiting: 'Waiting to be sent',
    anotherGuest: 'Another guest',
    foreign: (name: string | null) => `Not sent, written as ${name ?? 'another guest'}`,
    foreignTried: (name: string | null) => `Perhaps sent, written as ${name ?? 'another guest'}`,
    showMore: 'Show more',
    sendAsMe: 'Send as me',
    notYet: (why: string) => `Not sent yet: ${why}`,
    notSent: (why: string) => `Not sent: ${why}`,
    retry: 'Retry',
    copyShort: 'Copy',
    edit: 'Edit',
    remove: 'Delete',
    copied: 'Copied',
    copyFailed: 'The browser did not let it be copied.',
  },

  typing: (n: number) => (n > 1 ? ' are typing' : ' is typing'),
  typingMany: 'Several people are typing',

  composer: {
    form: 'Write a message',
    label: (name: string) => `Message #${name}`,
    labelAway: (name: string) => `Message #${name} (goes out when you are back)`,
    send: 'Send',
    newLine: 'Shift+Enter for a new line',
    draftKept: 'Draft kept · Shift+Enter for a new line',
    notKept: {
      tab: 'What waits is kept in this tab only: leave it open',
      page: 'This browser keeps nothing: what waits is lost by a reload',
    },
    tooLong: 'The message is too long.',
    left: (n: number) => `${count(n, 'byte', 'bytes')} left`,
    excess: (n: number) => `Too long by ${count(n, 'byte', 'bytes')}: shorten it, or send it in parts`,
  },

  strip: {
    away: 'No connection.',
    waiting: (n: number, kept: 'device' | 'tab' | 'page') => `${waiting(n, WHERE[kept])}${KEEP_OPEN[kept]}`,
    behind: 'Newer messages do not come.',
    absent: 'The messages do not come.',
    next: (seconds: number) => `Next try in ${seconds} s.`,
    trying: 'Trying…',
    tryNow: 'Try now',
  },
} as const;

const WHY: Record<FailureCode, string> = {
  invalid: 'the server does not take it.',
  unauthenticated: 'you are signed out.',
  guests_refused: 'guests are not let in from here. Ask whoever runs this server, or come from its own machine.',
  forbidden: 'this address may not talk to the server. Open it under the address that the server expects.',
  not_found: 'the room is not there any more.',
  unknown_command: 'the server does not know how. Reload the page: it may be newer.',
  conflict: 'the server has another message of that number.',
  too_large: 'it is too long.',
  unsupported: 'the server does not take it in this form. Reload the page.',
  rate_limited: 'too many tries.',
  busy: 'the server is too busy.',
  unavailable: 'the server can neither store nor read anything now.',
  unknown: 'the server has not said whether it worked.',
  lost: 'the server does not answer.',
  timeout: 'the server takes too long to answer.',
};

/** The reason in words, as the end of a sentence: the server's own where it says more than its code. */
export function why(failure: { error: FailureCode; message: string }): string {
  const own = failure.message.trim();
  const says = (failure.error === 'invalid' || failure.error === 'not_found') && own !== '';
  if (!says) return WHY[failure.error];
  return /[.!?]$/.test(own) ? own : `${own}.`;
}

/** The reason as a sentence of its own, with when to try again. */
export function sentence(failure: Failure): string {
  const text = why(failure);
  const later = failure.retry_ms ? ` Try again in ${Math.ceil(failure.retry_ms / 1000)} s.` : '';
  return text.charAt(0).toUpperCase() + text.slice(1) + later;
}
