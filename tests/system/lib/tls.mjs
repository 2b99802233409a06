// TLS for the tests: a certificate of their own, and a tunnel by which a script that knows of no TLS talks to a server of nothing else.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { connect } from 'node:tls';

let made;

/** The files of a certificate for 127.0.0.1 and its key, and the certificate itself: { certificateFile, keyFile, ca }. */
export function certificate() {
  if (!made) {
    const folder = mkdtempSync(join(tmpdir(), 'palaver-tls-'));
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    const [certificateFile, keyFile] = ['certificate.pem', 'key.pem'].map((name) => join(folder, name));
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', keyFile];
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
    execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, ...names, '-out', certificateFile], { stdio: 'pipe' });
    made = { certificateFile, keyFile, ca: readFileSync(certificateFile) };
  }
  return made;
}

/** What a server is told by environment, so that it speaks TLS. */
export function tlsEnv() {
  const { certificateFile, keyFile } = certificate();
  return { TLS_CERTIFICATE: certificateFile, TLS_KEY: keyFile };
}

function joinUp(plain, port) {
  const encrypted = connect({ port, host: '127.0.0.1', ca: certificate().ca, allowHalfOpen: true });
  for (const [one, other] of [[plain, encrypted], [encrypted, plain]]) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroySoon());
    one.pipe(other);
  }
  plain.setNoDelay(true);
  encrypted.setNoDelay(true);
}

/** Listens on `port`, and takes what comes there to the TLS of `to`; to be closed. */
export async function tunnel(port, to) {
  const server = createServer({ allowHalfOpen: true }, (plain) => joinUp(plain, to));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return server;
}
