#pragma once
#include "block_reduce.cuh"
