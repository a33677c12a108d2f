// The grids that group fits start from. Chosen greedily for the smallest mean error of the best
// of them, on normal and heavy-tailed random groups and on groups of a real model's weights, with
// uniform and with log-normal importance: 16 come within 2 % of a dense search, and the moves
// halve what is left.
#pragma once

namespace pare::kquant {

// Formats with minima: the grid's lowest level lies `low` steps inside the smallest column and
// its highest `high` steps inside the largest; a step is the groups's range over its levels.
struct Start {
  float low, high;
};

constexpr Start kStarts4[] = {  // 16 and 32 levels
    {0.5f, 0.5f},  {0.0f, 0.75f},  {-0.5f, -0.25f}, {0.0f, 0.25f}, {0.25f, -0.25f}, {1.0f, 0.25f},
    {0.5f, -0.5f}, {0.25f, 0.75f}, {0.0f, 0.0f},    {0.0f, 1.25f}, {-0.25f, 0.25f}, {1.5f, 0.25f},
    {0.25f, 0.0f}, {0.5f, -0.25f}, {1.0f, 0.75f},   {0.75f, 0.25f}};
constexpr Start kStarts2[] = {  // 4 levels
    {0.25f, 0.25f},  {0.0f, 0.5f},   {0.5f, 0.25f}, {0.25f, 0.75f}, {0.75f, 0.0f}, {0.5f, 0.5f},
    {0.25f, -0.25f}, {0.5f, 0.75f},  {0.0f, 0.25f}, {0.0f, 1.0f},   {1.0f, 0.25f}, {0.5f, -0.5f},
    {0.25f, 0.0f},   {0.75f, 0.25f}, {1.25f, 0.0f}, {-0.25f, 0.5f}};
// From the best start.
constexpr Start kMoves[] = {{-0.125f, 0.0f}, {0.125f, 0.0f}, {0.0f, -0.125f}, {0.0f, 0.125f}};

// Formats without minima: the column of the largest magnitude is put on the lowest level times a
// positive number, or on the highest level times a negative one's magnitude; beyond 1 it is
// clipped.
constexpr float kStarts3[] = {0.94f,  1.04f, -1.04f, 1.16f, 1.32f,  // Q3_K
                              -1.36f, 1.54f, -1.64f, 1.9f,  -2.08f};
constexpr float kStarts6[] = {-0.8f, -0.84f, -0.87f, 0.9f,  -0.9f,  -0.94f,  // Q6_K
                              0.96f, -0.97f, 1.0f,   1.01f, -1.01f, 1.04f};
constexpr float kStartsTable[] = {-0.8f, 0.84f,  0.96f, -0.96f, 1.0f, -1.02f,
                                  1.04f, -1.08f, 1.1f,  -1.18f, 1.2f, 1.32f};

// From the best start.
constexpr float kStretches[] = {0.98f, 1.02f};

}  // namespace pare::kquant
