// The whole of it: who one is, whether one is let in, and the rooms with their connection and outbox.
//
//	starting --cookie known--> room <--join-- welcome
//	    '--------401--------------------------^  |
//	                           room --refused--->'

import type { Keep } from '../lib/storage';
import { type Entry, type Failure, type RoomInfo, sameId, type User } from '../protocol';
import { Connection } from './connection.svelte';
import { collectDrafts } from './leftover';
import { Outbox } from './outbox.svelte';
import type { OutboxItem, OutboxStore } from './outbox_store';
import { Room } from './room.svelte';
import type { HelloAnswer, HttpHello, Transport } from './transport';
import type { OpenWord, Turns, Word } from './turns';

export type Stage = 'starting' | 'welcome' | 'room';

export interface SessionDeps {
  transport: Transport;
  httpHello: HttpHello;
  keep: Keep;
  /** Of this tab alone. */
  tabKeep: Keep;
  store: () => Promise<OutboxStore>;
  /** There is something now that the browser must not clear away. */
  persist: () => void;
  turns: (store: OutboxStore) => Turns;
  word: OpenWord;
}

export class Session {
  stage = $state<Stage>('starting');
  /** Why one stands at the door; null: for the first time. */
  refused = $state<Failure | null>(null);
  joining = $state(false);
  me = $state.raw<User | null>(null);
  room = $state.raw<Room | null>(null);
  readonly connection: Connection;

  readonly #deps: SessionDeps;
  readonly #word: Word;
  #store: Promise<OutboxStore> | null = null;
  #outbox: Outbox | null = null;
  #epoch = '';
  #clockSkew_ms = 0;
  #attentive = false;
  #entering: Promise<void> | null = null;
  #building = 0;

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    this.#word = deps.word((said) => {
      if (said.kind === 'guest' && this.stage === 'welcome' && !this.joining) this.connection.start();
    });
    this.connection = new Connection(deps.transport, deps.httpHello, {
      recognised: (hello) => void this.#enter(hello),
      online: (hello) => void this.#online(hello),
      lost: () => this.#lost(),
      refused: (why) => this.#refused(why),
      pushed: (event, data) => {
        if (event === 'gap') this.room?.log.gap();
        else if (event === 'entry') this.room?.log.receive(data as Entry);
        else if (event === 'typing') this.#heardTyping(data as { room: RoomInfo['id']; user: User });
      },
    });
  }

  start(): void {
    this.stage = 'starting';
    this.refused = null;
    this.connection.start();
  }

  /** Comes in under this name. Null: done. */
  async join(name: string): Promise<Failure | null> {
    if (this.joining) return null;
    this.joining = true;
    try {
      this.connection.stop();
      const answer = await this.#newGuest(name);
      if (!answer.ok) return answer;
      this.#word.tell({ kind: 'guest' });
      this.refused = null;
      await this.#enter(answer);
      this.connection.start(true);
      return null;
    } finally {
      this.joining = false;
    }
  }

  /** A browser has one guest: whom another tab has made is this one's too. */
  async #newGuest(name: string): Promise<HelloAnswer | Failure> {
    let answer: HelloAnswer | Failure | null = null;
    const ask = async () => {
      answer = await this.#deps.httpHello();
      if (!answer.ok && answer.error === 'unauthenticated') answer = await this.#deps.httpHello(name);
    };
    try {
      await this.#deps.turns(await this.#openStore()).take('palaver.join', ask);
    } catch {
      if (!answer) await ask(); // without the turn, rather than not at all
    }
    return answer!;
  }

  #openStore(): Promise<OutboxStore> {
    return (this.#store ??= this.#deps.store());
  }

  /** The page is visible and has the focus. */
  set attentive(attentive: boolean) {
    this.#attentive = attentive;
    if (this.room) this.room.reading.attentive = attentive;
  }

  /** Makes room and outbox for this guest, or keeps them if it is the same one. */
  #enter(hello: HelloAnswer): Promise<void> {
    this.#clockSkew_ms = hello.now - Date.now();
    const same = this.me && sameId(this.me.id, hello.user.id) && this.#epoch === hello.epoch;
    if (!same || !this.#entering) this.#entering = this.#build(hello);
    return this.#entering;
  }

  async #build(hello: HelloAnswer): Promise<void> {
    this.#close();
    const owner = `${hello.epoch}:${hello.user.id}`;
    this.me = hello.user;
    this.#epoch = hello.epoch;
    this.#deps.keep.set(`guest.${owner}`, hello.user.name);
    const building = ++this.#building;
    const store = await this.#openStore();
    if (building !== this.#building) return; // somebody else meanwhile
    const outbox = new Outbox({
      owner,
      me: hello.user.id,
      store,
      persist: this.#deps.persist,
      tab: this.#deps.tabKeep,
      turns: this.#deps.turns(store),
      word: this.#deps.word,
      now: () => Date.now() + this.#clockSkew_ms,
      send: (item) => this.connection.call('message.send', { room: item.room, cid: item.cid, text: item.text }),
      sent: (item, answer) => this.#sent(item, answer),
      read: () => {
        const log = this.#outbox === outbox ? this.room?.log : undefined;
        if (log?.loaded) outbox.learnt(log.entries, log.lastSeq);
      },
    });
    const info = hello.rooms[0];
    this.#outbox = outbox;
    if (info) {
      this.room = new Room(
        info,
        hello.user,
        outbox,
        (command, args) => this.connection.call(command, args),
        this.#deps.keep,
        this.#deps.tabKeep,
      );
      this.room.reading.attentive = this.#attentive;
    }
    this.stage = 'room';
    void this.#recall(outbox, store);
  }

  /** What was left here before. Nobody waits for it: the log comes all the same. */
  async #recall(outbox: Outbox, store: OutboxStore): Promise<void> {
    await collectDrafts(this.#deps.keep, this.#deps.tabKeep, store, outbox.owner).catch(() => undefined);
    await outbox.refresh();
  }

  async #online(hello: HelloAnswer): Promise<void> {
    await this.#enter(hello);
    if (!this.connection.online) return;
    const info = hello.rooms.find((each) => this.room && sameId(each.id, this.room.info.id));
    if (info) this.room?.log.resume(hello.epoch, info.head, info.nonce);
    this.#outbox?.online();
  }

  #lost(): void {
    this.#outbox?.offline();
    this.room?.log.lost();
    this.room?.typing.clear();
  }

  #refused(why: Failure): void {
    const known = this.me !== null;
    this.#close();
    // Whoever comes for the first time needs no explanation why there is no guest yet.
    this.refused = why.error === 'unauthenticated' && !known ? null : why;
    this.stage = 'welcome';
  }

  #close(): void {
    this.#building++;
    this.#outbox?.close();
    this.room?.close();
    this.#outbox = null;
    this.#entering = null;
    this.room = null;
    this.me = null;
  }

  /** The answer says what the entry is; the push of it may be missing (it came before a reconnect) or still on its way. */
  #sent(item: OutboxItem, answer: { seq: number; nonce: number; at: number }): boolean {
    const room = this.room;
    if (!room || !this.me || !sameId(room.info.id, item.room)) return true;
    room.log.receive({
      room: item.room,
      seq: answer.seq,
      nonce: answer.nonce,
      at: answer.at,
      kind: 'message',
      author: this.me,
      text: item.text,
      cid: item.cid,
    });
    return room.log.loaded && answer.seq <= room.log.lastSeq;
  }

  #heardTyping({ room, user }: { room: RoomInfo['id']; user: User }): void {
    if (this.room && sameId(room, this.room.info.id)) this.room.typing.heard(user);
  }
}
