/*
 * app/version.h -- which version this is; the number is meson.build's.
 */
#ifndef APP_VERSION_H
#define APP_VERSION_H

#ifndef PALAVER_VERSION
#error "PALAVER_VERSION is given by the build"
#endif
#define APP_VERSION PALAVER_VERSION

#endif
