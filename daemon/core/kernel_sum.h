/*
 * How the lanes of a sum come together: in one order, whatever the registers
 * are, so that every build gives the same bits.
 */
#ifndef DAEMON_CORE_KERNEL_SUM_H
#define DAEMON_CORE_KERNEL_SUM_H

#define SUM_LANES 8

static inline double
sum_lanes(const double lanes[SUM_LANES])
{
	double even = (lanes[0] + lanes[4]) + (lanes[2] + lanes[6]);
	double odd = (lanes[1] + lanes[5]) + (lanes[3] + lanes[7]);

	return even + odd;
}

#endif
