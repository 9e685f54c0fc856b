// The places that PJRT's binary interface gives to the slots of its table and to fields of argument structs.
#include "cpjrt.h"

#define SLOT(name, number) \
  _Static_assert(offsetof(PJRT_Api, name) == 40 + 8 * (number), "slot " #name " is not in its place")

SLOT(Error_Destroy, 0);
SLOT(Error_GetCode, 2);
SLOT(Plugin_Initialize, 3);
SLOT(Event_Destroy, 5);
SLOT(Event_Await, 8);
SLOT(Client_Create, 10);
SLOT(Client_PlatformName, 12);
SLOT(Client_AddressableDevices, 16);
SLOT(Client_Compile, 20);
SLOT(Client_BufferFromHostBuffer, 22);
SLOT(LoadedExecutable_Execute, 55);
SLOT(Buffer_Destroy, 58);
SLOT(Buffer_ToHostBuffer, 70);

_Static_assert(offsetof(PJRT_Client_Create_Args, client) == 64, "PJRT_Client_Create_Args");
_Static_assert(offsetof(PJRT_Client_BufferFromHostBuffer_Args, buffer) == 112, "BufferFromHostBuffer_Args");
_Static_assert(offsetof(PJRT_LoadedExecutable_Execute_Args, execute_device) == 72, "Execute_Args");
