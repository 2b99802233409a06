/*
 * socketio/client/assets.h -- the JavaScript client library, held in memory: what GET /socket.io/socket.io.js answers.
 *
 * Constants; any thread. Used by: socketio/ (the server's routes). Filled at build time by tools/embed.py from the npm
 * package socket.io-client (meson.build here); where the build went without it (-Dclient=disabled, or no npm) the table
 * is the empty one of assets_none.c.
 */
#ifndef SOCKETIO_CLIENT_ASSETS_H
#define SOCKETIO_CLIENT_ASSETS_H

#include "http/asset.h"

/* A path is a bare file name, such as "socket.io.min.js" or "socket.io.min.js.map". No order is promised. */
extern const struct http_asset sio_client_assets[];
extern const size_t sio_client_asset_count;

#endif
