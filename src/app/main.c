/* app/main.c -- the program: `palaver serve`, `palaver help`, `palaver version`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/serve.h"
#include "app/version.h"

enum { ERROR_BYTES = 1024 };

static int help(FILE *out)
{
	fprintf(out, "palaver " APP_VERSION ": a chat in one program, for any Socket.IO client\n\n"
		     "  palaver serve [OPTION...]   serve it; without options on http://127.0.0.1:3000/chat\n"
		     "  palaver serve --help        what can be set\n"
		     "  palaver --version           which version this is\n");
	return out == stdout ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool is(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int version(void)
{
	printf("palaver " APP_VERSION "\n");
	return EXIT_SUCCESS;
}

static int run_serve(int argc, char **argv)
{
	static struct config config;
	char err[ERROR_BYTES];

	for (int i = 0; i < argc; i++) {
		if (is(argv[i], "--help", "-h")) {
			printf("palaver serve [OPTION...]\n\n");
			config_help(stdout);
			return EXIT_SUCCESS;
		}
		if (strcmp(argv[i], "--version") == 0)
			return version();
	}
	if (!config_read(&config, argc, argv, err, sizeof(err))) {
		fprintf(stderr, "palaver: %s\n", err);
		return EXIT_FAILURE;
	}
	return serve(&config);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return help(stderr);
	if (strcmp(argv[1], "serve") == 0)
		return run_serve(argc - 2, argv + 2);
	if (is(argv[1], "--version", "version"))
		return version();
	if (is(argv[1], "--help", "help") || strcmp(argv[1], "-h") == 0)
		return help(stdout);
	fprintf(stderr, "palaver: no such command: %s\n\n", argv[1]);
	return help(stderr);
}
