#include "say.h"

#include <stdarg.h>
#include <string.h>

#include "os.h"

#define SAY_DIGITS 24 /* of a 64-bit number, a sign and a point */

/* One conversion of a format: "%-8zu". */
struct say_field {
	size_t width;
	size_t size; /* of the integer */
	bool is_left;
	bool has_zeros;
};

/* A va_list is an array on some machines and cannot be passed by address there; inside a structure it can. */
struct say_arguments {
	va_list list;
};

/* Row after row, each with its NUL: an array of pointers would have to be relocated in every process. */
static const char say_messages[] =
#define HAK_MESSAGE(id, text) text "\0"
#include "messages.def"
#undef HAK_MESSAGE
	;

/* The digits end at end; returns where they start. */
static char *say_digits(char *end, uint64_t value, unsigned base)
{
	do
		*--end = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	return end;
}

HAK_FN void hak_text_open(struct hak_text *text, char *buffer, size_t size)
{
	hak_assert(size >= 1);
	text->start = text->at = buffer;
	text->end = buffer + size;
	text->lost = 0;
	*buffer = '\0';
}

HAK_FN void hak_text_bytes(struct hak_text *text, const char *bytes, size_t length)
{
	size_t room = (size_t)(text->end - text->at) - 1;
	size_t fits = length < room ? length : room;

	memcpy(text->at, bytes, fits);
	text->at += fits;
	text->lost += length - fits;
	*text->at = '\0';
}

HAK_FN void hak_text_string(struct hak_text *text, const char *string)
{
	hak_text_bytes(text, string, strlen(string));
}

static void say_byte(struct hak_text *text, char c) { hak_text_bytes(text, &c, 1); }

static void say_number(struct hak_text *text, uint64_t value, unsigned base)
{
	char digits[SAY_DIGITS], *end = digits + sizeof(digits), *first = say_digits(end, value, base);

	hak_text_bytes(text, first, (size_t)(end - first));
}

HAK_FN void hak_text_decimal(struct hak_text *text, uint64_t value) { say_number(text, value, 10); }

HAK_FN void hak_text_hex(struct hak_text *text, uint64_t value)
{
	hak_text_string(text, "0x");
	say_number(text, value, 16);
}

HAK_FN void hak_text_fixed(struct hak_text *text, uint64_t value, unsigned decimals)
{
	char digits[SAY_DIGITS], *end = digits + sizeof(digits);
	uint64_t unit = 1;

	for (unsigned i = 0; i < decimals; i++)
		unit *= 10;
	hak_text_decimal(text, value / unit);
	if (decimals == 0)
		return;
	/* the digit of the added unit, which keeps the zeros after the point, gives its place to the point */
	*say_digits(end, value % unit + unit, 10) = '.';
	hak_text_bytes(text, end - decimals - 1, decimals + 1);
}

HAK_FN void hak_text_size(struct hak_text *text, size_t size)
{
	unsigned i = 0;

	while (i < 3 && size != 0 && size % 1024 == 0) {
		size /= 1024;
		i++;
	}
	hak_text_decimal(text, size);
	if (i > 0)
		say_byte(text, "KMG"[i - 1]);
}

static void say_json_byte(struct hak_text *text, unsigned char c)
{
	if (c == '"' || c == '\\') {
		say_byte(text, '\\');
		say_byte(text, (char)c);
	} else if (c >= 0x20 && c < 0x7f) {
		say_byte(text, (char)c);
	} else {
		hak_text_format(text, "\\u%04x", c);
	}
}

HAK_FN void hak_text_json(struct hak_text *text, const char *string)
{
	say_byte(text, '"');
	for (; *string; string++)
		say_json_byte(text, (unsigned char)*string);
	say_byte(text, '"');
}

HAK_FN const char *hak_text_nth(const char *strings, unsigned n)
{
	while (n-- > 0)
		strings += strlen(strings) + 1;
	return strings;
}

static void say_pad(struct hak_text *text, char c, size_t n)
{
	while (n-- > 0)
		say_byte(text, c);
}

static void say_put(struct hak_text *text, const struct say_field *field, const char *bytes, size_t length)
{
	size_t pad = field->width > length ? field->width - length : 0;

	if (!field->is_left)
		say_pad(text, field->has_zeros ? '0' : ' ', pad);
	hak_text_bytes(text, bytes, length);
	if (field->is_left)
		say_pad(text, ' ', pad);
}

/* Flags, width and length; returns what follows them. */
static const char *say_parse(const char *at, struct say_field *field)
{
	for (; *at == '-' || *at == '0'; at++)
		*(*at == '-' ? &field->is_left : &field->has_zeros) = true;
	for (; *at >= '0' && *at <= '9'; at++)
		field->width = field->width * 10 + (size_t)(*at - '0');
	for (; *at == 'l' || *at == 'z'; at++) /* a size_t is as long as a long */
		field->size = *at == 'l' && at[-1] == 'l' ? sizeof(long long) : sizeof(long);
	return at;
}

static uint64_t say_unsigned(struct say_arguments *from, size_t size)
{
	if (size == sizeof(unsigned))
		return va_arg(from->list, unsigned);
	return size == sizeof(unsigned long) ? va_arg(from->list, unsigned long)
	                                     : va_arg(from->list, unsigned long long);
}

static int64_t say_signed(struct say_arguments *from, size_t size)
{
	if (size == sizeof(int))
		return va_arg(from->list, int);
	return size == sizeof(long) ? va_arg(from->list, long) : va_arg(from->list, long long);
}

static void say_put_integer(struct hak_text *text, const struct say_field *field, char kind,
                            struct say_arguments *from)
{
	char digits[SAY_DIGITS], *end = digits + sizeof(digits), *first;
	int64_t value = kind == 'd' ? say_signed(from, field->size) : 0;

	if (kind != 'd')
		first = say_digits(end, say_unsigned(from, field->size), kind == 'x' ? 16 : 10);
	else
		first = say_digits(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
	if (value < 0)
		*--first = '-';
	say_put(text, field, first, (size_t)(end - first));
}

static void say_put_pointer(struct hak_text *text, const struct say_field *field, const void *pointer)
{
	char digits[SAY_DIGITS], *end = digits + sizeof(digits);
	char *first = say_digits(end, (uintptr_t)pointer, 16);

	*--first = 'x';
	*--first = '0';
	say_put(text, field, first, (size_t)(end - first));
}

static void say_put_string(struct hak_text *text, const struct say_field *field, const char *string)
{
	if (!string)
		string = "(null)";
	say_put(text, field, string, strlen(string));
}

static void say_put_argument(struct hak_text *text, const struct say_field *field, char kind,
                             struct say_arguments *from)
{
	char c = kind; /* of %%, or of a mistake that the compiler has reported */

	switch (kind) {
	case 's':
		say_put_string(text, field, va_arg(from->list, const char *));
		return;
	case 'p':
		say_put_pointer(text, field, va_arg(from->list, void *));
		return;
	case 'd':
	case 'u':
	case 'x':
		say_put_integer(text, field, kind, from);
		return;
	case 'c':
		c = (char)va_arg(from->list, int);
		break;
	default:
		break;
	}
	say_put(text, field, &c, 1);
}

static void say_format(struct hak_text *text, const char *format, struct say_arguments *from)
{
	while (*format) {
		struct say_field field = { .size = sizeof(int) };
		size_t plain = strcspn(format, "%");

		hak_text_bytes(text, format, plain);
		format += plain;
		if (*format)
			format = say_parse(format + 1, &field);
		if (*format)
			say_put_argument(text, &field, *format++, from);
	}
}

HAK_FN void hak_text_format(struct hak_text *text, const char *format, ...)
{
	struct say_arguments from;

	va_start(from.list, format);
	say_format(text, format, &from);
	va_end(from.list);
}

/* The buffer keeps a byte free for this newline: also a line that was cut ends. */
static void say_send(struct hak_text *line)
{
	*line->at = '\n';
	hak_os_write(line->start, hak_text_length(line) + 1);
}

HAK_FN void hak_say_line(const char *format, ...)
{
	char buffer[HAK_SAY_LINE];
	struct say_arguments from;
	struct hak_text line;

	hak_text_open(&line, buffer, sizeof(buffer));
	hak_text_string(&line, "hakmem: ");
	va_start(from.list, format);
	say_format(&line, format, &from);
	va_end(from.list);
	say_send(&line);
}

HAK_FN void hak_say_text(const struct hak_text *text) { hak_os_write(text->start, hak_text_length(text)); }

static void say_fill(struct hak_text *line, const char *message, size_t number)
{
	for (; *message; message++)
		if (*message != '%')
			say_byte(line, *message);
		else if (*++message == 'n')
			hak_text_decimal(line, number);
}

HAK_FN void hak_say_misuse(enum hak_fatal what, const char *entry, const void *pointer, size_t number)
{
	char buffer[HAK_SAY_LINE];
	struct hak_text line;

	hak_text_open(&line, buffer, sizeof(buffer));
	hak_text_format(&line, "hakmem: %s(%p): ", entry, pointer);
	say_fill(&line, hak_text_nth(say_messages, what), number);
	say_send(&line);
}

HAK_FN void hak_say_fatal(enum hak_fatal what, const char *entry, const void *pointer, size_t number)
{
	hak_say_misuse(what, entry, pointer, number);
	hak_os_abort();
}
