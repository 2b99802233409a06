/* app/web_none.c -- a build without the web application. */
#include "app/pages.h"

const struct sio_asset web_assets[1] = { { .path = NULL } };
const size_t web_asset_count = 0;
