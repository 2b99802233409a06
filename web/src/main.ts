// Where it starts: the session with its real network, storage and locks, drawn into the page.

import './styles/tokens.css';
import './styles/base.css';
import './styles/controls.css';
import './styles/frame.css';
import './styles/room.css';
import './styles/messages.css';
import './styles/composer.css';
import './styles/overlays.css';
import './styles/welcome.css';
import './styles/narrow.css';

import { mount } from 'svelte';

import App from './components/App.svelte';
import { askToPersist, LocalKeep } from './lib/storage';
import { openOutboxStore } from './models/outbox_store';
import { Session } from './models/session.svelte';
import { Theme } from './models/theme.svelte';
import { openTurns, openWord } from './models/turns';
import { httpHello } from './net/http';
import { SocketTransport } from './net/socket';

const keep = new LocalKeep(() => localStorage);
const session = new Session({
  transport: new SocketTransport(),
  httpHello,
  keep,
  tabKeep: new LocalKeep(() => sessionStorage),
  store: () => openOutboxStore(),
  persist: askToPersist(() => navigator.storage),
  turns: openTurns,
  word: openWord,
});

mount(App, { target: document.body, props: { session, theme: new Theme(keep) } });
session.start();
