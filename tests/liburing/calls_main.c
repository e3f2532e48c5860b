// The calls, on the kernel of this machine.
#include "calls.h"

int main(void)
{
	make_calls(stdout);
	return 0;
}
