#include "stats.h"

HAK_DEF struct hak_process_counts hak_process_counts;
