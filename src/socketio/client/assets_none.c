/* socketio/client/assets_none.c -- see socketio/client/assets.h: the table of a build without the client library. */
#include "socketio/client/assets.h"

const struct http_asset sio_client_assets[1] = { { .path = NULL } };
const size_t sio_client_asset_count = 0;
