#include "proto/name.h"

#include <stdio.h>
#include <string.h>

static bool
is_name_character(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool
name_is_valid(const char *name)
{
	size_t size = strnlen(name, NAME_SIZE_MAX + 1);

	if (size == 0 || size > NAME_SIZE_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		if (!is_name_character(name[i]))
			return false;
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

bool
name_is_valid_instance(const char *name)
{
	return name_is_valid(name) && !strchr(name, '.');
}

bool
name_public_file(char ret_file[FILE_NAME_SIZE], const char *instance,
		 const char *model, const char *profile)
{
	int n = snprintf(ret_file, FILE_NAME_SIZE, "emad.%s.%s.%s.safetensors",
			 instance, model, profile);

	return n > 0 && n < FILE_NAME_SIZE;
}

void
name_rest_prefix(char ret_prefix[FILE_NAME_SIZE], const char *instance)
{
	(void)snprintf(ret_prefix, FILE_NAME_SIZE, ".emad.%s.rest-", instance);
}

void
name_rest_file(char ret_file[FILE_NAME_SIZE], const char *instance,
	       const char *model, const char *profile)
{
	(void)snprintf(ret_file, FILE_NAME_SIZE, ".emad.%s.rest-%s.%s",
		       instance, model, profile);
}

void
name_public_prefix(char ret_prefix[FILE_NAME_SIZE], const char *instance)
{
	(void)snprintf(ret_prefix, FILE_NAME_SIZE, "emad.%s.", instance);
}

void
name_hidden_prefix(char ret_prefix[FILE_NAME_SIZE], const char *instance)
{
	(void)snprintf(ret_prefix, FILE_NAME_SIZE, ".emad.%s.", instance);
}
