/* The intrusive list. */
#include "base/list.h"
#include "lib/cmocka.h"

struct item {
	char name;
	struct list node;
};

/* The names in order, checked in both directions. */
static void assert_names(struct list *head, const char *wanted)
{
	size_t count = 0;

	for (struct list *l = head->next; l != head; l = l->next) {
		assert_ptr_equal(l->prev->next, l);
		assert_ptr_equal(l->next->prev, l);
		assert_int_equal(list_entry(l, struct item, node)->name, wanted[count]);
		count++;
	}
	assert_int_equal(wanted[count], '\0');
	assert_int_equal(list_empty(head), count == 0);
}

static void test_list(void **state)
{
	(void)state;
	struct list head, other;
	struct item items[] = { { .name = 'a' }, { .name = 'b' }, { .name = 'c' }, { .name = 'd' } };

	list_init(&head);
	list_init(&other);
	assert_names(&head, "");
	for (int i = 0; i < 3; i++) {
		list_init(&items[i].node);
		list_push_back(&head, &items[i].node);
	}
	assert_names(&head, "abc");
	list_insert_before(&items[1].node, &items[3].node);
	assert_names(&head, "adbc");
	list_remove(&items[3].node);
	assert_names(&head, "abc");
	assert_true(list_empty(&items[3].node));
	list_remove(&items[3].node); /* in no list: harmless */
	list_insert_before(head.next, &items[3].node);
	assert_names(&head, "dabc");

	list_remove(&items[0].node);
	list_push_back(&other, &items[0].node);
	list_splice(&other, &head);
	assert_names(&other, "adbc");
	assert_names(&head, "");
	list_splice(&other, &head);
	assert_names(&other, "adbc");
	list_splice(&head, &other);
	assert_names(&head, "adbc");
	assert_names(&other, "");
	for (int i = 0; i < 4; i++)
		list_remove(&items[i].node);
	assert_names(&head, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
